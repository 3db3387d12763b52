// lvr-launch COMMAND [ARGUMENT...]: runs a command whose memory allocations never wait for writeback to a device that it serves itself
// (PR_SET_IO_FLUSHER, prctl(2)). The setting belongs to a thread, is inherited by new threads and kept over execve(2): set here, it holds
// for the threads that Node starts before any of our code runs. Without the right to set it the command runs all the same; lvrd warns.

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#ifndef PR_SET_IO_FLUSHER
#define PR_SET_IO_FLUSHER 57
#endif

int main(int count, char** arguments) {
  if (count < 2) {
    fprintf(stderr, "usage: lvr-launch COMMAND [ARGUMENT...]\n");
    return 2;
  }
  prctl(PR_SET_IO_FLUSHER, 1, 0, 0, 0);
  execvp(arguments[1], arguments + 1);
  fprintf(stderr, "lvr-launch: %s: %s\n", arguments[1], strerror(errno));
  return 127;
}
