/* A FUSE file system in memory that keeps, at a power cut, only what was synced.
 *
 * usage: power_cut_disk MOUNT -f -s. Writing "cut SEED" to /.power cuts the power, "settle" syncs all.
 *
 * Of a file's data, what fsync or fdatasync has reached stays. Of the rest of each file all is lost, or a
 * prefix of its pages stays, or any pages do, as the seed says. Names (create, rename, unlink, mkdir) stay
 * only once their directory was synced; of the rest a prefix of what was done, in its order, may stay.
 * A directory is renamed with all that is in it, as one change; what of it was not synced before is lost with
 * the change, or at its old name. One thread, so that nothing here needs a lock.
 */
#define FUSE_USE_VERSION 31
#define _GNU_SOURCE
#include <errno.h>
#include <fuse.h>
#include <linux/falloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <unistd.h>

#define PAGE 4096
#define POWER "/.power"

struct image {
  char *bytes; /* zero from size on */
  size_t size, room;
};

struct node {
  char *folder; /* its path, if it is one */
  mode_t mode;
  uid_t uid;
  gid_t gid;
  struct timespec mtime;
  struct image live, platter;
  unsigned char *dirty; /* one for each page */
  size_t dirty_pages;   /* how many have a place there */
};

struct name {
  char *path;
  struct node *node;
};

struct names {
  struct name *all;
  size_t count, room;
};

struct change { /* what became of one name or, in a rename, of two; of a folder, of all that is in it */
  char *gone, *made;
  struct node *node;
};

static struct names live, platter;
static struct change *changes;
static size_t change_count, change_room;

static void *grown(void *old, size_t bytes) {
  void *made = realloc(old, bytes);
  if (!made) abort();
  return made;
}

static char *copy_of(const char *text) { return text ? strcpy(grown(NULL, strlen(text) + 1), text) : NULL; }

static struct name *find(struct names *names, const char *path) {
  for (size_t i = 0; i < names->count; i++)
    if (!strcmp(names->all[i].path, path)) return &names->all[i];
  return NULL;
}

static void put(struct names *names, const char *path, struct node *node) {
  struct name *there = find(names, path);
  if (there) {
    there->node = node;
    return;
  }
  if (names->count == names->room)
    names->all = grown(names->all, (names->room = 2 * names->room + 16) * sizeof *names->all);
  names->all[names->count++] = (struct name){copy_of(path), node};
}

static void drop(struct names *names, const char *path) {
  struct name *there = find(names, path);
  if (!there) return;
  free(there->path);
  *there = names->all[--names->count];
}

static int lies_in(const char *path, const char *folder) {
  size_t length = strlen(folder);
  if (!path || !strcmp(path, "/")) return 0;
  if (length == 1) length = 0; /* the root */
  return !strncmp(path, folder, length) && path[length] == '/' && !strchr(path + length + 1, '/');
}

/* The path as it is when a folder has moved, or NULL if it is not in there. */
static char *moved(const char *path, const char *from, const char *to) {
  size_t length = strlen(from);
  if (!path || strncmp(path, from, length) || path[length] != '/') return NULL;
  char *made = grown(NULL, strlen(to) + strlen(path + length) + 1);
  return strcat(strcpy(made, to), path + length);
}

static void move_text(char **path, const char *from, const char *to) {
  char *made = moved(*path, from, to);
  if (!made) return;
  free(*path);
  *path = made;
}

static void apply(struct names *names, const struct change *change) {
  if (change->gone) drop(names, change->gone);
  if (change->made) put(names, change->made, change->node);
  if (change->gone && change->made && change->node->folder)
    for (size_t i = 0; i < names->count; i++) move_text(&names->all[i].path, change->gone, change->made);
}

static void change_names(const char *gone, const char *made, struct node *node) {
  if (gone && made && node->folder) /* what is still to be synced in there, moves along */
    for (size_t i = 0; i < change_count; i++) {
      move_text(&changes[i].gone, gone, made);
      move_text(&changes[i].made, gone, made);
    }
  if (change_count == change_room)
    changes = grown(changes, (change_room = 2 * change_room + 16) * sizeof *changes);
  changes[change_count] = (struct change){copy_of(gone), copy_of(made), node};
  apply(&live, &changes[change_count++]);
}

/* Take the changes that one folder's sync, or everybody's (NULL), makes lasting. */
static void settle_names(const char *folder) {
  size_t kept = 0;
  for (size_t i = 0; i < change_count; i++) {
    struct change *each = &changes[i];
    if (!folder || lies_in(each->gone, folder) || lies_in(each->made, folder)) {
      apply(&platter, each);
      free(each->gone);
      free(each->made);
    } else
      changes[kept++] = *each;
  }
  change_count = kept;
}

static void make_room(struct image *image, size_t size) {
  if (size <= image->room) return;
  size_t room = (size + size / 2 + PAGE) / PAGE * PAGE;
  image->bytes = grown(image->bytes, room);
  memset(image->bytes + image->room, 0, room - image->room);
  image->room = room;
}

static void soil(struct node *node, size_t from, size_t to) {
  size_t pages = (to + PAGE - 1) / PAGE;
  if (pages > node->dirty_pages) {
    node->dirty = grown(node->dirty, pages * 2);
    memset(node->dirty + node->dirty_pages, 0, pages * 2 - node->dirty_pages);
    node->dirty_pages = pages * 2;
  }
  for (size_t page = from / PAGE; page < pages; page++) node->dirty[page] = 1;
}

static void cut_image(struct image *image, size_t size) {
  make_room(image, size);
  if (size < image->size) memset(image->bytes + size, 0, image->size - size);
  image->size = size;
}

static void resize(struct node *node, size_t size) {
  size_t before = node->live.size;
  cut_image(&node->live, size);
  soil(node, size < before ? size : before, size < before ? before : size);
}

static void keep_page(struct node *node, size_t page) {
  size_t from = page * PAGE;
  if (from >= node->live.size || from >= node->platter.size) return;
  size_t length = node->live.size - from < PAGE ? node->live.size - from : PAGE;
  if (length > node->platter.size - from) length = node->platter.size - from;
  memcpy(node->platter.bytes + from, node->live.bytes + from, length);
}

static void settle(struct node *node) {
  cut_image(&node->platter, node->live.size);
  for (size_t page = 0; page < node->dirty_pages; page++)
    if (node->dirty[page]) keep_page(node, page);
  memset(node->dirty, 0, node->dirty_pages);
}

static void lose_unsynced(struct node *node) {
  size_t pages = 0, at = 0;
  for (size_t page = 0; page < node->dirty_pages; page++) pages += node->dirty[page];
  int how = random() % 3;
  size_t first = how == 1 && pages ? (size_t)random() % (pages + 1) : 0;
  if (how == 2 && pages) cut_image(&node->platter, node->live.size);
  for (size_t page = 0; page < node->dirty_pages; page++) {
    if (!node->dirty[page]) continue;
    if (how == 1 && at++ < first) {
      size_t end = (page + 1) * PAGE < node->live.size ? (page + 1) * PAGE : node->live.size;
      if (end > node->platter.size) cut_image(&node->platter, end);
      keep_page(node, page);
    }
    if (how == 2 && random() % 2) keep_page(node, page);
  }
  cut_image(&node->live, node->platter.size);
  if (node->platter.size) memcpy(node->live.bytes, node->platter.bytes, node->platter.size);
  memset(node->dirty, 0, node->dirty_pages);
}

static int has_parent(const char *path) {
  char *parent = copy_of(path);
  char *slash = strrchr(parent, '/');
  slash[slash == parent] = 0;
  int there = find(&platter, parent) != NULL;
  free(parent);
  return there;
}

/* A folder knows its path, which is not what it was when one above it has moved, or has not after all. */
static void name_folders(void) {
  for (size_t i = 0; i < live.count; i++) {
    struct node *node = live.all[i].node;
    if (!node->folder || !strcmp(node->folder, live.all[i].path)) continue;
    free(node->folder);
    node->folder = copy_of(live.all[i].path);
  }
}

static void cut_power(unsigned seed) {
  srandom(seed);
  size_t survive = random() % 2 && change_count ? (size_t)random() % (change_count + 1) : 0;
  for (size_t i = 0; i < change_count; i++) {
    if (i < survive) apply(&platter, &changes[i]);
    free(changes[i].gone);
    free(changes[i].made);
  }
  change_count = 0;
  for (size_t i = 0; i < platter.count;)
    if (has_parent(platter.all[i].path))
      i++;
    else {
      drop(&platter, platter.all[i].path);
      i = 0;
    }
  while (live.count) drop(&live, live.all[0].path);
  for (size_t i = 0; i < platter.count; i++) {
    lose_unsynced(platter.all[i].node);
    put(&live, platter.all[i].path, platter.all[i].node);
  }
  name_folders();
}

static struct node *node_of(const char *path, struct fuse_file_info *info) {
  if (info && info->fh) return (struct node *)(uintptr_t)info->fh;
  struct name *there = path ? find(&live, path) : NULL;
  return there ? there->node : NULL;
}

static struct node *new_node(mode_t mode) {
  struct node *node = calloc(1, sizeof *node);
  if (!node) abort();
  struct fuse_context *context = fuse_get_context();
  node->mode = mode;
  node->uid = context ? context->uid : getuid();
  node->gid = context ? context->gid : getgid();
  clock_gettime(CLOCK_REALTIME, &node->mtime);
  return node;
}

static void *op_init(struct fuse_conn_info *connection, struct fuse_config *config) {
  (void)connection;
  config->entry_timeout = config->attr_timeout = config->negative_timeout = 0;
  config->hard_remove = config->nullpath_ok = 1;
  return NULL;
}

static int op_getattr(const char *path, struct stat *facts, struct fuse_file_info *info) {
  struct node *node = node_of(path, info);
  if (!node) return -ENOENT;
  memset(facts, 0, sizeof *facts);
  facts->st_mode = node->mode;
  facts->st_nlink = 1;
  facts->st_uid = node->uid;
  facts->st_gid = node->gid;
  facts->st_size = (off_t)node->live.size;
  facts->st_blocks = (blkcnt_t)((node->live.size + 511) / 512);
  facts->st_mtim = facts->st_ctim = facts->st_atim = node->mtime;
  return 0;
}

static int op_readdir(const char *path, void *buffer, fuse_fill_dir_t fill, off_t offset,
                      struct fuse_file_info *info, enum fuse_readdir_flags flags) {
  (void)offset, (void)flags;
  const char *folder = node_of(path, info)->folder;
  fill(buffer, ".", NULL, 0, 0);
  fill(buffer, "..", NULL, 0, 0);
  for (size_t i = 0; i < live.count; i++)
    if (lies_in(live.all[i].path, folder)) fill(buffer, strrchr(live.all[i].path, '/') + 1, NULL, 0, 0);
  return 0;
}

static int op_open(const char *path, struct fuse_file_info *info) {
  struct node *node = node_of(path, NULL);
  if (!node) return -ENOENT;
  if (info->flags & O_TRUNC) resize(node, 0);
  info->fh = (uintptr_t)node;
  return 0;
}

static int op_create(const char *path, mode_t mode, struct fuse_file_info *info) {
  struct node *node = new_node(S_IFREG | (mode & 07777));
  change_names(NULL, path, node);
  info->fh = (uintptr_t)node;
  return 0;
}

static struct node *new_folder(const char *path, mode_t mode) {
  struct node *node = new_node(S_IFDIR | (mode & 07777));
  node->folder = copy_of(path);
  return node;
}

static int op_mkdir(const char *path, mode_t mode) {
  change_names(NULL, path, new_folder(path, mode));
  return 0;
}

static int op_opendir(const char *path, struct fuse_file_info *info) {
  info->fh = (uintptr_t)node_of(path, NULL);
  return info->fh ? 0 : -ENOENT;
}

static int op_read(const char *path, char *buffer, size_t size, off_t offset, struct fuse_file_info *info) {
  struct node *node = node_of(path, info);
  if ((size_t)offset >= node->live.size) return 0;
  if (size > node->live.size - (size_t)offset) size = node->live.size - (size_t)offset;
  memcpy(buffer, node->live.bytes + offset, size);
  return (int)size;
}

static int op_write(const char *path, const char *bytes, size_t size, off_t offset,
                    struct fuse_file_info *info) {
  struct node *node = node_of(path, info), *power = node_of(POWER, NULL);
  if (node == power) {
    char order[64] = {0};
    memcpy(order, bytes, size < sizeof order ? size : sizeof order - 1);
    unsigned seed;
    if (sscanf(order, "cut %u", &seed) == 1)
      cut_power(seed);
    else if (!strncmp(order, "settle", 6)) {
      settle_names(NULL);
      for (size_t i = 0; i < live.count; i++) settle(live.all[i].node);
    } else
      return -EINVAL;
    return (int)size;
  }
  if ((size_t)offset > node->live.size) resize(node, (size_t)offset);
  make_room(&node->live, (size_t)offset + size);
  memcpy(node->live.bytes + offset, bytes, size);
  if ((size_t)offset + size > node->live.size) node->live.size = (size_t)offset + size;
  soil(node, (size_t)offset, (size_t)offset + size);
  clock_gettime(CLOCK_REALTIME, &node->mtime);
  return (int)size;
}

static int op_truncate(const char *path, off_t size, struct fuse_file_info *info) {
  struct node *node = node_of(path, info);
  if (!node) return -ENOENT;
  if (node != node_of(POWER, NULL)) resize(node, (size_t)size);
  return 0;
}

static int op_fallocate(const char *path, int mode, off_t offset, off_t length, struct fuse_file_info *info) {
  struct node *node = node_of(path, info);
  if (mode & ~FALLOC_FL_KEEP_SIZE) return -EOPNOTSUPP;
  if (!mode && (size_t)(offset + length) > node->live.size) resize(node, (size_t)(offset + length));
  return 0;
}

static int op_fsync(const char *path, int data_only, struct fuse_file_info *info) {
  (void)data_only; /* fdatasync keeps the size too, and there is nothing else to keep */
  settle(node_of(path, info));
  return 0;
}

static int op_fsyncdir(const char *path, int data_only, struct fuse_file_info *info) {
  (void)data_only;
  settle_names(node_of(path, info)->folder);
  return 0;
}

static int op_unlink(const char *path) {
  if (!strcmp(path, POWER)) return -EPERM;
  change_names(path, NULL, NULL); /* its node is not freed: the platter, or somebody, may have it */
  return 0;
}

static int op_rmdir(const char *path) {
  for (size_t i = 0; i < live.count; i++)
    if (lies_in(live.all[i].path, path)) return -ENOTEMPTY;
  return op_unlink(path);
}

static int op_rename(const char *from, const char *to, unsigned flags) {
  struct node *node = node_of(from, NULL);
  if (!node) return -ENOENT;
  if (flags & ~(unsigned)RENAME_NOREPLACE) return -EINVAL;
  if (flags & RENAME_NOREPLACE && find(&live, to)) return -EEXIST;
  for (size_t i = 0; i < live.count; i++)
    if (lies_in(live.all[i].path, to)) return -ENOTEMPTY;
  if (strcmp(from, to)) change_names(from, to, node);
  name_folders();
  return 0;
}

static int op_chmod(const char *path, mode_t mode, struct fuse_file_info *info) {
  struct node *node = node_of(path, info);
  node->mode = (node->mode & S_IFMT) | (mode & 07777);
  return 0;
}

static int op_chown(const char *path, uid_t uid, gid_t gid, struct fuse_file_info *info) {
  struct node *node = node_of(path, info);
  if (uid != (uid_t)-1) node->uid = uid;
  if (gid != (gid_t)-1) node->gid = gid;
  return 0;
}

static int op_utimens(const char *path, const struct timespec times[2], struct fuse_file_info *info) {
  struct node *node = node_of(path, info);
  if (times[1].tv_nsec == UTIME_NOW)
    clock_gettime(CLOCK_REALTIME, &node->mtime);
  else if (times[1].tv_nsec != UTIME_OMIT)
    node->mtime = times[1];
  return 0;
}

static int op_statfs(const char *path, struct statvfs *facts) {
  (void)path;
  memset(facts, 0, sizeof *facts);
  facts->f_bsize = facts->f_frsize = PAGE;
  facts->f_blocks = facts->f_bfree = facts->f_bavail = 1 << 20;
  facts->f_files = facts->f_ffree = facts->f_favail = 1 << 20;
  facts->f_namemax = 255;
  return 0;
}

static const struct fuse_operations operations = {
    .init = op_init, .getattr = op_getattr, .readdir = op_readdir, .open = op_open, .create = op_create,
    .mkdir = op_mkdir, .opendir = op_opendir, .read = op_read, .write = op_write, .truncate = op_truncate,
    .fallocate = op_fallocate, .fsync = op_fsync, .fsyncdir = op_fsyncdir, .unlink = op_unlink,
    .rmdir = op_rmdir, .rename = op_rename, .chmod = op_chmod, .chown = op_chown, .utimens = op_utimens,
    .statfs = op_statfs,
};

int main(int count, char **arguments) {
  struct names *both[] = {&live, &platter};
  struct node *root = new_folder("/", 0700), *power = new_node(S_IFREG | 0600);
  for (int i = 0; i < 2; i++) {
    put(both[i], "/", root);
    put(both[i], POWER, power);
  }
  return fuse_main(count, arguments, &operations, NULL);
}
