// Makes every fdatasync take SYNC_DELAY_US microseconds longer, as on a slower disk: LD_PRELOAD=slow_sync.so. strace could
// do the same, but slows down more than that.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <unistd.h>

int fdatasync(int file) {
    int (*sync)(int) = dlsym(RTLD_NEXT, "fdatasync");
    const char *delay = getenv("SYNC_DELAY_US");
    int result = sync(file);
    if (delay) usleep(atoi(delay));
    return result;
}
