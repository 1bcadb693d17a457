/* What the files of the session share. */
#ifndef NVR_SESSION_I_H
#define NVR_SESSION_I_H

#include "dts.h"
#include "latm.h"
#include "session.h"

enum {
  NVR_TEXT_MAX = 65536,
  NVR_AU_MAX = 8 << 20,
  NVR_AUDIO_MAX = 1 << 20, /* bytes of one audio track in one part */
  NVR_JUNK_MAX = 65536,    /* bytes that are neither frame nor message, in a row */
  NVR_SETS = 16,
  NVR_SET_MAX = 4096,
  NVR_JPEG_EXTRA = 1024, /* bytes of RTP header extensions of one picture, and of Huffman tables */
  NVR_LATM_MAX = 16384, /* bytes of an AudioMuxElement in fragments */
  NVR_TICKS = 90000
};

typedef struct {
  uint8_t *nal;
  uint16_t len;
  uint8_t type;
  uint32_t id;
} nvr_set;

/* Quantisation tables of JPEG: luminance, and chrominance if there are two. */
typedef struct {
  uint8_t count, precision; /* precision: bit i, table i has 16 bits a value */
  uint8_t data[2][128];
} nvr_quantisers;

/* The frame of a JPEG: a SOF segment without its length and precision. */
typedef struct {
  uint16_t width, height;
  uint8_t count, components[3][3]; /* 1 grey or 3; of each: its number, sampling, table */
} nvr_jpeg_frame;

typedef struct {
  uint16_t width, height, told_width, told_height; /* told: by the SDP */
  nvr_jpeg_frame frame; /* of the last extension that had one; no components: none had */
  uint8_t extra[NVR_JPEG_EXTRA], huffman[NVR_JPEG_EXTRA]; /* extension of this picture; DHT segments that hold */
  uint16_t extra_len, huffman_len;
  uint32_t extra_ts;
  int extra_over;
  uint32_t next;        /* offset of the piece that is to come */
  nvr_quantisers now, *kept; /* kept: of each Q from 128 to 254, NULL before the first */
  int missing;
  uint32_t missed_ts; /* of the last picture whose beginning was missing */
} nvr_jpeg;

typedef struct {
  nvr_track_setup setup;
  /* RTP */
  int have_seq, have_ssrc, bad_seq;
  uint16_t seq; /* expected next */
  uint32_t ssrc;
  nvr_receipt receipt;
  /* time */
  int anchored;
  uint32_t ts;   /* last RTP timestamp */
  int64_t line;  /* its place on the line, in the track's clock */
  int64_t floor; /* end of the last sample */
  /* sender report */
  int have_sr, aligned;
  uint64_t ntp;
  uint32_t sr_ts;
  /* audio: samples of the open part, and an access unit that comes in fragments */
  uint8_t *bytes;
  size_t len, cap, fill, need;
  uint32_t fill_ts;
  unsigned live_from;
  size_t live_bytes;
  nvr_mux mux; /* of LATM */
} nvr_track;

/* What is gathered for a live playlist: cut by media time and at key frames, whenever packets come. */
typedef struct {
  int64_t most; /* ticks that one lasts at most, unless a single picture is longer; 0: none are made */
  nvr_table tables[NVR_TRACKS];
  uint8_t *bytes[NVR_TRACKS];
  size_t len[NVR_TRACKS], cap[NVR_TRACKS];
} nvr_portion;

struct nvr_session {
  nvr_pool *pool;
  int count, video; /* video: 0, or -1 without */
  nvr_track tracks[NVR_TRACKS];
  nvr_table tables[NVR_TRACKS];
  uint8_t *pending;
  size_t pending_len, pending_cap;
  int ended, failed, watched, astray;
  uint32_t junk;
  uint32_t ours; /* our SSRC in receiver reports */
  int64_t now, began; /* of the last feed, of the first video packet */
  int64_t shift; /* line minus arrival when first anchored */
  int64_t lead, lead_next, lead_at; /* largest line minus arrival of the last 10 to 20 s */
  int64_t late, late_at, late_line; /* lateness of these 2 s, their begin, the furthest place so far */
  nvr_stats stats;
  struct nvr_relay *relays[NVR_SESSION_RELAYS];
  int relay_count, relay_keyed;
  uint32_t relay_ts;
  /* video */
  nvr_buffer *buf; /* the mdat of the open part; 8 bytes for its head */
  size_t hint;
  int started, held; /* held: the last sample waits for its duration */
  int au_open, au_vcl, au_key, au_skip, au_damaged, au_over;
  int au_recovers; /* pictures until all is right again, by a recovery point; -1 none */
  int bad_marker, any_marker;
  uint32_t au_ts;
  int64_t au_dts, au_pts, frame; /* frame: duration of a picture as far as known */
  int64_t key_pts;
  uint64_t key_frame; /* place and number of the last key frame */
  size_t au_start, nal_at;       /* nal_at: offset of the length of the NAL unit being written, 0 none */
  uint8_t nal_type;
  nvr_dts dts;
  nvr_jpeg jpeg;
  nvr_portion portion;
  unsigned stopped; /* pictures in a row with the same RTP time */
  /* a replay: what the packets say of when they were taken, UTC microseconds */
  int replayed, stamped;
  int64_t replay_us, replay_at;     /* a time, and its place on the line in ticks */
  uint32_t stamp_ts;                /* RTP time of the last stamp */
  int64_t stamp_us, au_us, held_us; /* of the last stamp; of the open picture and the one that waits: their decode times */
  int64_t part_us;                  /* of the first sample of the open part */
  nvr_set sets[NVR_SETS];
  int set_count, sets_changed, mux_changed;
  uint8_t *config; /* as last told */
  size_t config_len;
  nvr_event *events;
  size_t event_count, event_cap;
};

/* session.c */
/* Give an access unit to the relays that carry program streams; times in 90 kHz ticks. */
void nvr_relay_units(nvr_session *s, int i, const uint8_t *data, size_t len, int64_t dts, int64_t pts, int key);
nvr_event *nvr_event_add(nvr_session *s, int kind);
int64_t nvr_to_clock(int64_t ticks, uint32_t hz);
int64_t nvr_to_ticks(int64_t t, uint32_t hz);
void nvr_fail(nvr_session *s); /* out of memory: the session ends */

/* timeline.c */
/* Place RTP time `ts` on the line; 1 if the track had to be anchored anew. */
int nvr_place(nvr_session *s, int i, uint32_t ts);
void nvr_report(nvr_session *s, int i, const uint8_t *p, size_t len);
int64_t nvr_camera_us(const nvr_session *s, int i, int64_t at);
/* The extension of an RTP packet of time `ts`: 4 bytes of head and what follows. */
void nvr_stamp(nvr_session *s, int i, const uint8_t *p, size_t len, uint32_t ts);
/* When the picture of RTP time `ts` was taken; whether that goes on from the one before. */
int nvr_stamped(nvr_session *s, uint32_t ts, int anew);

/* sets.c */
void nvr_set_seen(nvr_session *s, const uint8_t *nal, size_t len);
int nvr_sets_ready(const nvr_session *s);
/* Whether they, or the configuration of sound, differ from what was told last. */
int nvr_sets_new(nvr_session *s);
void nvr_sets_event(nvr_session *s);

/* recovery_frame_cnt of an H.264 SEI, -1 if it holds no recovery point. */
int nvr_recovery_point(const uint8_t *nal, size_t len);

/* sound.c */
void nvr_audio_packet(nvr_session *s, int i, const uint8_t *p, size_t len, uint32_t ts, int marker, unsigned lost);

/* jpeg.c */
void nvr_jpeg_packet(nvr_session *s, const uint8_t *p, size_t len, uint32_t ts, int marker, unsigned lost);
/* An RTP header extension of a packet, which comes next: its words after type and length. */
void nvr_jpeg_extension(nvr_session *s, unsigned type, const uint8_t *p, size_t len, uint32_t ts);
/* The size told beforehand: width(16), height(16). */
void nvr_jpeg_size(nvr_session *s, const uint8_t *p, size_t len);
/* Nothing of the open picture comes any more. */
void nvr_jpeg_end(nvr_session *s);
/* Does a picture begin with this packet that can be decoded without any before? */
int nvr_jpeg_starts(const uint8_t *p, size_t len);

/* depack.c */
/* An access unit of RTP time `ts` begins; turns out to hold a picture; goes on. */
void nvr_au_begin(nvr_session *s, uint32_t ts);
void nvr_au_picture(nvr_session *s, int key);
void nvr_au_put(nvr_session *s, const uint8_t *p, size_t len);
void nvr_video_packet(nvr_session *s, const uint8_t *p, size_t len, uint32_t ts, int marker, unsigned lost);
int nvr_starts_key(const nvr_session *s, const uint8_t *p, size_t len);
void nvr_finish_au(nvr_session *s);

/* portion.c */
/* The last picture's duration is known; its bytes end at `end` of the open part. */
void nvr_portion_picture(nvr_session *s, size_t end);
/* A sample of sound of track `i` at `at`. */
void nvr_portion_sound(nvr_session *s, int i, int64_t at, nvr_sample sample, const uint8_t *data);
/* Tell the open portion; `force`: also one of sound alone, which waits for its picture else. `ends`: the
 * next begins with a key frame. */
void nvr_portion_cut(nvr_session *s, int force, int ends);
void nvr_portion_free(nvr_portion *p);

/* cut.c */
/* What is said of samples, from the track that leads them. */
void nvr_describe(nvr_session *s, const nvr_table *tables, nvr_event *e, const unsigned *counts);
/* `moof mdat` of samples whose bytes are at `data`, to be freed; NULL without memory. */
uint8_t *nvr_fragment(const nvr_table *tables, const unsigned *counts, int tracks, const uint8_t *const *data,
                      const size_t *lens, size_t *len);
void nvr_emit_part(nvr_session *s, unsigned video_samples, size_t video_end, int ends_gop, int force);
void nvr_emit_live(nvr_session *s);
void nvr_emit_live_audio(nvr_session *s, int i);

#endif
