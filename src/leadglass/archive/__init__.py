"""The use cases of images, one file each. They hold no socket and no path; they ask for permits."""
