/* The datagram sockets of a session: RTP and RTCP of each track, unicast or multicast.
 *
 * Read dry in a tick, many datagrams a call, put in order and handed to the session; receiver
 * reports go back. Taken is only what comes from an address that was allowed; among the ports of
 * these the first that sends this track's payload type is believed, another once that one has been
 * silent for a second: servers lie about theirs, and what an earlier session left on its way may
 * still come. The sockets belong to whoever opened them. */
#ifndef NVR_DATAGRAM_H
#define NVR_DATAGRAM_H

#include <netinet/in.h>

#include "reorder.h"
#include "session.h"

enum { NVR_SENDERS = 2 };

typedef union {
  struct sockaddr any;
  struct sockaddr_in v4;
  struct sockaddr_in6 v6;
} nvr_address;

typedef struct {
  int track, rtp, rtcp; /* rtcp: -1 none */
  nvr_address from[NVR_SENDERS]; /* by address, not by port */
  int senders;
  nvr_address punch, report; /* family 0: nobody */
} nvr_port_setup;

typedef struct nvr_datagrams nvr_datagrams;

/* NULL without memory. `ports` at most NVR_TRACKS. */
nvr_datagrams *nvr_datagrams_new(nvr_session *s, const nvr_port_setup *ports, int count);
void nvr_datagrams_free(nvr_datagrams *d);
/* Read what is there, and send what is due. `room` has NVR_READ_ROOM bytes. */
void nvr_datagrams_read(nvr_datagrams *d, uint8_t *room, int64_t now);
/* Nothing more is waited for: what was kept goes to the session. */
void nvr_datagrams_flush(nvr_datagrams *d);
/* The sockets, at most 2 * NVR_TRACKS into `fds`; how many. */
int nvr_datagrams_fds(const nvr_datagrams *d, int *fds);

#endif
