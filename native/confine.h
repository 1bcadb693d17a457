/* A process that decodes foreign bytes gives up everything it does not need for that. */
#ifndef NVR_CONFINE_H
#define NVR_CONFINE_H

/* From here on, for all threads and for good: no file, socket or process can be opened, nothing new
 * can be run, and what is mapped is never executable. Descriptors that are open can be read, written
 * and closed. Other system calls fail with EPERM. The process dies with the thread that started it,
 * cannot be looked into, and leaves no core.
 *
 * 0, or the errno of what this kernel refuses; ENOSYS where there are no such filters. */
int nvr_confine(void);

#endif
