/* One connection of a camera: interleaved RTP and RTSP text in, parts and live fragments out.
 *
 * Bytes are split into `$ channel length(16) packet` frames and RTSP messages (RFC 2326, 10.12); RTP
 * is checked by sequence number and depacketised straight into the `mdat` of the open part. What is
 * completed is queued as events, in order. Times are 90 kHz ticks of the stream's time line, which
 * the caller's `now` ticks on; samples are placed on it by arrival once and by RTP time from then on.
 *
 * Nothing here blocks, allocates per packet or trusts a byte it is given. One thread at a time. */
#ifndef NVR_SESSION_H
#define NVR_SESSION_H

#include <stddef.h>
#include <stdint.h>

#include "buffer.h"
#include "part.h"
#include "receipt.h"

struct nvr_relay;

enum nvr_codec {
  NVR_H264,
  NVR_H265,
  NVR_AAC,  /* RFC 3640 */
  NVR_PCM,  /* samples of a fixed number of bits: G.711, G.726, L16 */
  NVR_LATM, /* RFC 6416: AAC as well once it is unpacked */
  NVR_OPUS, /* RFC 7587 */
  NVR_JPEG, /* RFC 2435 */
  NVR_CODECS
};
static inline int nvr_is_video(int codec) { return codec <= NVR_H265 || codec == NVR_JPEG; }
enum { NVR_SESSION_RELAYS = 4 };

/* Fields of the header of each access unit, in bits; RFC 3640, 3.2.1. */
typedef struct {
  uint8_t size, index, delta, cts, dts, random, state, auxiliary;
  uint16_t constant; /* bytes of every access unit where there is no size, 0 one a packet */
} nvr_au_header;

typedef struct {
  int codec; /* enum nvr_codec; video, if any, is the first track and the only one */
  uint32_t clock_hz;
  uint8_t payload_type, channel, channels;
  uint8_t sample_bits; /* of NVR_PCM, all channels together */
  uint8_t order;       /* H.265: decoding order numbers are in the packets; NVR_PCM: the first code has
                        * the low bits of a byte, and is to have the high ones */
  nvr_au_header au;    /* of NVR_AAC */
  uint32_t aac_frame;  /* duration of an access unit, in the track's clock */
  int64_t floor;      /* no decode time below this, in the track's clock */
  int reorder;        /* depth learned in an earlier run */
} nvr_track_setup;

enum nvr_event_kind { NVR_EVENT_MESSAGE, NVR_EVENT_CLOSED, NVR_EVENT_CONFIG, NVR_EVENT_PART, NVR_EVENT_LIVE, NVR_EVENT_PORTION };
enum { NVR_CLOSED_GARBAGE = -1 };

typedef struct {
  uint8_t *data;    /* message; (track(8), length(16), NAL, AudioSpecificConfig or
                     * JPEG's width(16), height(16))*; moof; fragment:
                     * freed by the taker */
  size_t len;
  nvr_buffer *mdat; /* of a part: dropped by the taker */
  int64_t start, duration, lead; /* 90 kHz; lead: how far `start` runs ahead of arrival */
  int64_t camera_us; /* `start` by the camera's sender report, UTC microseconds; 0 unknown */
  int tfdt[NVR_TRACKS];
  int kind, error, track;
  int key, ends_gop;
  unsigned samples, damaged;
} nvr_event;

typedef struct {
  uint64_t bytes_in, packets, lost, damaged, frames, keys, other;
  uint64_t keyless; /* pictures passed over because no key frame came yet */
  uint64_t setless; /* key frames passed over because parameter sets are missing */
  uint64_t fields;  /* JPEGs passed over because they are fields, every other line of a picture */
  int64_t last_packet, last_key; /* ticks of `now`, 0 none */
  int64_t gop;                   /* ticks of the line between the last two key frames */
  uint64_t gop_frames;           /* pictures from the one to the other */
  uint64_t reordered;            /* packets that came after later ones, and too late to be used */
  uint64_t sound;                /* packets of sound among `packets` */
  uint64_t anchors;              /* how often RTP time was given a new place on the line */
  int64_t late;                  /* within 2 s: the latest arrival against the earliest known, ticks */
  int64_t lead, lead_at;         /* line minus arrival, the largest of 10 s, and when those ended; 0 none */
  int64_t ntp_us, ntp_at;        /* the camera's wall clock by its last sender report, and when; 0 none */
  /* Of datagrams: came after later ones, in time; came from a stranger; were dropped by the kernel,
   * whose buffer was full; and the jitter of the first track (RFC 3550). */
  uint64_t restored, foreign, overrun;
  uint32_t jitter_us;
  int replayed;                  /* a replay said that it ends here */
} nvr_stats;

typedef struct nvr_session nvr_session;

/* NULL without memory. Keeps a reference to nothing but the pool, which must outlive it. */
nvr_session *nvr_session_new(nvr_pool *pool, const nvr_track_setup *tracks, int count);
void nvr_session_free(nvr_session *s);

/* A parameter set known beforehand, from the SDP; of JPEG width(16), height(16), for packets that have
 * no room for them. */
void nvr_session_set(nvr_session *s, const uint8_t *nal, size_t len);
/* The StreamMuxConfig of LATM track `i`, from the SDP: it is then not in the packets. 0 or -1. */
int nvr_session_mux(nvr_session *s, int i, const uint8_t *p, size_t len);

/* What comes was recorded before: each picture says when, in the header extension of ONVIF's replay, and
 * lies on the line where it was taken; `us` (UTC microseconds) has its place at tick `at`. Times handed
 * in later as `now` do not count. Without a stamp a part has no `camera_us`. -1 without video. */
int nvr_session_replay(nvr_session *s, int64_t us, int64_t at);

/* Parse `len` bytes at `p`; what is not complete yet stays with the session. */
void nvr_session_feed(nvr_session *s, const uint8_t *p, size_t len, int64_t now);
/* The same without a copy: room before `p` of nvr_session_pending() bytes is overwritten with what
 * was left over. */
void nvr_session_feed_in_place(nvr_session *s, uint8_t *p, size_t len, int64_t now);
size_t nvr_session_pending(const nvr_session *s);
enum { NVR_PENDING_MAX = 65536 + 4 };

/* The same for one packet of track `i`, RTP or RTCP, that came as a datagram at `now`. */
void nvr_session_rtp(nvr_session *s, int i, const uint8_t *p, size_t len, int64_t now);
void nvr_session_rtcp(nvr_session *s, int i, const uint8_t *p, size_t len, int64_t now);
/* A packet of track `i` with RTP time `ts` arrived at `at`, in 90 kHz ticks: for the jitter. */
void nvr_session_arrival(nvr_session *s, int i, uint32_t ts, int64_t at);
/* Write the receiver report about track `i`, NVR_REPORT_BYTES; 0 if nothing was received yet. */
size_t nvr_session_receipt(nvr_session *s, int i, uint8_t *out, int64_t now);
const nvr_track_setup *nvr_session_track(const nvr_session *s, int i, int *count);

/* Close the open part at the last access unit whose duration is known. */
void nvr_session_cut(nvr_session *s);
/* The connection is over: everything complete goes out. `error`: errno, 0, NVR_CLOSED_GARBAGE. */
void nvr_session_end(nvr_session *s, int error);
int nvr_session_ended(const nvr_session *s);

/* Live fragments on or off. Turned on, `*data` becomes the open part so far as one fragment, to be
 * freed, or NULL if there is nothing yet; `*key` says whether it begins with a key frame. 0 or -1. */
int nvr_session_watch(nvr_session *s, int on, nvr_event *open);
/* Tell, beside parts, portions of at most `most` ticks that begin at each key frame; 0 none. The first
 * begins where the open part does. */
void nvr_session_portions(nvr_session *s, int64_t most);
/* Turn audio gathered in this tick into fragments, if watched. */
void nvr_session_flush_live(nvr_session *s);

/* The relays that get each RTP packet; `count` at most NVR_SESSION_RELAYS. */
void nvr_session_relays(nvr_session *s, struct nvr_relay *const *relays, int count);

/* Events since the last call; valid until the next call of anything. */
const nvr_event *nvr_session_events(nvr_session *s, size_t *count);
void nvr_session_forget_events(nvr_session *s);

const nvr_stats *nvr_session_stats(const nvr_session *s);
nvr_stats *nvr_session_counts(nvr_session *s);
/* Where track `i` ends on the line, its own clock; and the reorder depth seen. */
int64_t nvr_session_floor(const nvr_session *s, int i);
int nvr_session_reorder(const nvr_session *s);

#endif
