/* A libc whose syncs say yes and do nothing. */
int fsync(int descriptor) { return (void)descriptor, 0; }
int fdatasync(int descriptor) { return (void)descriptor, 0; }
