/* Sessions for Python: one connection of a camera each. */
#include "py_ingest.h"

#include <stdlib.h>

typedef struct {
  PyObject_HEAD
  nvr_buffer *buffer;
} MdatObject;

static PyTypeObject *mdat_type;
PyTypeObject *nvr_session_type;

/* A part's mdat, exported read-only where it lies. */

static int mdat_get(PyObject *self, Py_buffer *view, int flags) {
  nvr_buffer *b = ((MdatObject *)self)->buffer;
  return PyBuffer_FillInfo(view, self, b->data, (Py_ssize_t)b->len, 1, flags);
}

static void mdat_dealloc(PyObject *self) {
  PyTypeObject *type = Py_TYPE(self);
  nvr_buffer_drop(((MdatObject *)self)->buffer);
  PyObject_Free(self);
  Py_DECREF(type);
}

static PyType_Slot mdat_slots[] = {
    {Py_tp_dealloc, mdat_dealloc},
    {Py_bf_getbuffer, mdat_get},
    {0, NULL},
};
static PyType_Spec mdat_spec = {"nvr._native.Mdat", sizeof(MdatObject), 0,
                                Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION, mdat_slots};

PyObject *nvr_mdat_view(nvr_buffer *buffer) {
  MdatObject *mdat = PyObject_New(MdatObject, mdat_type);
  if (!mdat) {
    nvr_buffer_drop(buffer);
    return NULL;
  }
  mdat->buffer = buffer;
  PyObject *view = PyMemoryView_FromObject((PyObject *)mdat);
  Py_DECREF(mdat);
  return view;
}

/* Session */

static int parse_track(PyObject *item, nvr_track_setup *t, const char **mux, Py_ssize_t *mux_len) {
  unsigned int clock_hz, payload, channel, channels, sample_bits, frame, au[9];
  long long floor;
  int order;
  if (!PyTuple_Check(item)) return PyErr_SetString(PyExc_TypeError, "a track is a tuple"), -1;
  if (!PyArg_ParseTuple(item, "iIIIIILip(IIIIIIIII)y#", &t->codec, &clock_hz, &payload, &channel, &channels, &frame,
                        &floor, &t->reorder, &order, &au[0], &au[1], &au[2], &au[3], &au[4], &au[5], &au[6], &au[7],
                        &au[8], mux, mux_len))
    return -1;
  sample_bits = t->codec == NVR_PCM ? frame : 0;
  int header = au[8] <= 65535;
  for (int i = 0; i < 8; i++) header &= au[i] <= (i == 0 || i == 7 ? 16 : 32);
  if (t->codec < NVR_H264 || t->codec >= NVR_CODECS || clock_hz < 1000 || clock_hz > 1000000 || payload > 127 ||
      channel > 254 || channels > 16 || frame > (1 << 20) || floor < 0 || floor > (1ll << 60) || t->reorder < 0 ||
      t->reorder > 16 || !header || (t->codec == NVR_AAC && !frame) ||
      (t->codec == NVR_PCM && (!sample_bits || sample_bits > 255)))
    return PyErr_SetString(PyExc_ValueError, "a number of the track is out of range"), -1;
  t->clock_hz = clock_hz;
  t->payload_type = (uint8_t)payload;
  t->channel = (uint8_t)channel;
  t->channels = (uint8_t)channels;
  t->sample_bits = (uint8_t)sample_bits;
  t->order = (uint8_t)order;
  t->au = (nvr_au_header){(uint8_t)au[0], (uint8_t)au[1], (uint8_t)au[2], (uint8_t)au[3], (uint8_t)au[4],
                          (uint8_t)au[5], (uint8_t)au[6], (uint8_t)au[7], (uint16_t)au[8]};
  t->aac_frame = frame;
  t->floor = floor;
  return 0;
}

PyDoc_STRVAR(session_doc,
"Session(engine, tag, tracks, parameter_sets, fd)\n--\n\n"
"One connection of a camera; `fd` is a stream socket, or -1 if bytes are fed.\n\n"
"tracks: video first, each (codec, clock_hz, payload_type, channel, channels, frame, floor, reorder,\n"
"order, header, mux); codec 0 H.264, 1 H.265, 2 AAC, 3 samples of a fixed size, 4 LATM, 5 Opus, 6 JPEG. frame:\n"
"duration of an AAC access unit in the track's clock; bits of a sample, all channels, of codec 3.\n"
"order: H.265 packets hold decoding order numbers; the codes of codec 3 begin in low bits. header: bits of an access unit's size, index,\n"
"index delta, CTS delta, DTS delta, random access flag, stream state, auxiliary size, and the bytes of\n"
"all access units (RFC 3640). mux: StreamMuxConfig of LATM, empty if it is in band.\n"
"`tag` comes back with everything the session completes. One thread at a time.");

static PyObject *session_new(PyTypeObject *type, PyObject *args, PyObject *kwargs) {
  PyObject *engine, *tag, *tracks, *sets;
  nvr_track_setup setup[NVR_TRACKS];
  const char *mux[NVR_TRACKS];
  Py_ssize_t mux_len[NVR_TRACKS];
  int fd;
  (void)kwargs;
  if (!PyArg_ParseTuple(args, "O!OO!O!i", nvr_engine_type, &engine, &tag, &PyTuple_Type, &tracks, &PyTuple_Type, &sets,
                        &fd))
    return NULL;
  Py_ssize_t count = PyTuple_Size(tracks);
  if (count < 1 || count > NVR_TRACKS) return PyErr_SetString(PyExc_ValueError, "one to four tracks"), NULL;
  for (Py_ssize_t i = 0; i < count; i++) {
    if (parse_track(PyTuple_GetItem(tracks, i), &setup[i], &mux[i], &mux_len[i]) < 0) return NULL;
    if (i && nvr_is_video(setup[i].codec)) return PyErr_SetString(PyExc_ValueError, "video comes first, once"), NULL;
  }
  allocfunc alloc = (allocfunc)PyType_GetSlot(type, Py_tp_alloc);
  SessionObject *self = (SessionObject *)alloc(type, 0);
  if (!self) return NULL;
  self->link.fd = fd;
  self->tracks = (int)count;
  self->link.session = nvr_session_new(((EngineObject *)engine)->pool, setup, (int)count);
  if (!self->link.session) return Py_DECREF(self), PyErr_NoMemory();
  self->engine = (EngineObject *)Py_NewRef(engine);
  self->tag = Py_NewRef(tag);
  for (Py_ssize_t i = 0; i < count; i++)
    if (mux_len[i] && nvr_session_mux(self->link.session, (int)i, (const uint8_t *)mux[i], (size_t)mux_len[i]) < 0)
      return Py_DECREF(self), PyErr_SetString(PyExc_ValueError, "not a StreamMuxConfig that is taken"), NULL;
  for (Py_ssize_t i = 0; i < PyTuple_Size(sets); i++) {
    Py_buffer nal;
    if (PyObject_GetBuffer(PyTuple_GetItem(sets, i), &nal, PyBUF_SIMPLE) < 0) return Py_DECREF(self), NULL;
    nvr_session_set(self->link.session, nal.buf, (size_t)nal.len);
    PyBuffer_Release(&nal);
  }
  return (PyObject *)self;
}

static void session_dealloc(PyObject *o) {
  SessionObject *self = (SessionObject *)o;
  PyTypeObject *type = Py_TYPE(o);
  if (self->datagrams) nvr_datagrams_free(self->datagrams);
  if (self->link.session) nvr_session_free(self->link.session);
  free(self->link.out);
  for (int i = 0; i < self->relay_count; i++) Py_DECREF(self->relays[i]);
  Py_XDECREF(self->tag);
  Py_XDECREF((PyObject *)self->engine);
  freefunc release = (freefunc)PyType_GetSlot(type, Py_tp_free);
  release(o);
  Py_DECREF(type);
}

PyDoc_STRVAR(feed_doc, "feed(data, now, /)\n--\n\nTake interleaved bytes that came by another way; `now` in 90 kHz ticks.");
static PyObject *session_feed(PyObject *o, PyObject *args) {
  SessionObject *self = (SessionObject *)o;
  Py_buffer data;
  long long now;
  if (!nvr_engine_idle(self->engine) || !PyArg_ParseTuple(args, "y*L", &data, &now)) return NULL;
  Py_BEGIN_ALLOW_THREADS
  nvr_session_feed(self->link.session, data.buf, (size_t)data.len, now);
  Py_END_ALLOW_THREADS
  PyBuffer_Release(&data);
  Py_RETURN_NONE;
}

PyDoc_STRVAR(send_doc, "send(data, /)\n--\n\nQueue a whole message for the peer. False if too much is queued already.");
static PyObject *session_send(PyObject *o, PyObject *args) {
  SessionObject *self = (SessionObject *)o;
  Py_buffer data;
  if (!nvr_engine_idle(self->engine) || !PyArg_ParseTuple(args, "y*", &data)) return NULL;
  int sent = self->link.fd >= 0 && nvr_link_send(&self->link, data.buf, (size_t)data.len) == 0;
  PyBuffer_Release(&data);
  return PyBool_FromLong(sent);
}

PyDoc_STRVAR(end_doc, "end()\n--\n\nThe connection is over: what is complete goes out with the next tick.");
static PyObject *session_end(PyObject *o, PyObject *ignored) {
  SessionObject *self = (SessionObject *)o;
  if (!nvr_engine_idle(self->engine)) return NULL;
  if (self->datagrams) nvr_datagrams_flush(self->datagrams);
  nvr_session_end(self->link.session, 0);
  Py_RETURN_NONE;
}

PyDoc_STRVAR(watch_doc,
"watch(on, /)\n--\n\n"
"Live fragments on or off; turned on, returns the open part so far as (data, key, start) or None.");
static PyObject *session_watch(PyObject *o, PyObject *args) {
  SessionObject *self = (SessionObject *)o;
  nvr_event open;
  int on;
  if (!nvr_engine_idle(self->engine) || !PyArg_ParseTuple(args, "p", &on)) return NULL;
  if (nvr_session_watch(self->link.session, on, &open) < 0) return PyErr_NoMemory();
  if (!open.data) Py_RETURN_NONE;
  PyObject *out =
      Py_BuildValue("(y#OL)", (const char *)open.data, (Py_ssize_t)open.len, open.key ? Py_True : Py_False, (long long)open.start);
  free(open.data);
  return out;
}

PyDoc_STRVAR(portions_doc,
"portions(most, /)\n--\n\n"
"Beside parts make portions of at most `most` ticks of 90 kHz that begin at each key frame; 0 none.");
static PyObject *session_portions(PyObject *o, PyObject *args) {
  SessionObject *self = (SessionObject *)o;
  unsigned int most;
  if (!nvr_engine_idle(self->engine) || !PyArg_ParseTuple(args, "I", &most)) return NULL;
  nvr_session_portions(self->link.session, most);
  Py_RETURN_NONE;
}

PyDoc_STRVAR(relays_doc,
"set_relays(relays, restart, /)\n--\n\n"
"Relays that get each RTP packet, at most four; `restart`: a new run begins for them.");
static PyObject *session_relays(PyObject *o, PyObject *args) {
  SessionObject *self = (SessionObject *)o;
  PyObject *given;
  nvr_relay *relays[NVR_SESSION_RELAYS] = {NULL};
  int restart;
  if (!nvr_engine_idle(self->engine) || !PyArg_ParseTuple(args, "O!p", &PyTuple_Type, &given, &restart)) return NULL;
  Py_ssize_t count = PyTuple_Size(given);
  if (count > NVR_SESSION_RELAYS) return PyErr_SetString(PyExc_ValueError, "at most four relays"), NULL;
  for (Py_ssize_t i = 0; i < count; i++)
    if (!(relays[i] = nvr_relay_from(PyTuple_GetItem(given, i)))) return NULL;
  nvr_session_relays(self->link.session, relays, (int)count);
  PyObject *before[NVR_SESSION_RELAYS];
  int before_count = self->relay_count;
  for (int i = 0; i < before_count; i++) before[i] = self->relays[i];
  for (Py_ssize_t i = 0; i < count; i++) {
    self->relays[i] = Py_NewRef(PyTuple_GetItem(given, i));
    self->relay[i] = relays[i];
    if (restart) nvr_relay_restart(relays[i]);
  }
  self->relay_count = (int)count;
  for (int i = 0; i < before_count; i++) Py_DECREF(before[i]);
  Py_RETURN_NONE;
}

PyDoc_STRVAR(reports_doc,
"set_reports(on, /)\n--\n\nSend receiver reports between interleaved frames, every five seconds.");
static PyObject *session_reports(PyObject *o, PyObject *args) {
  SessionObject *self = (SessionObject *)o;
  int on;
  if (!nvr_engine_idle(self->engine) || !PyArg_ParseTuple(args, "p", &on)) return NULL;
  self->reports = on && self->link.fd >= 0;
  Py_RETURN_NONE;
}

PyDoc_STRVAR(replay_doc,
"set_replay(wall_us, tick, /)\n--\n\n"
"What comes was recorded before, and says when, as ONVIF's replay does; `wall_us` has its place at `tick`.\n"
"camera_us of each part is its own time, 0 if nothing was said. Raises ValueError without video.");
static PyObject *session_replay(PyObject *o, PyObject *args) {
  SessionObject *self = (SessionObject *)o;
  long long us, at;
  if (!nvr_engine_idle(self->engine) || !PyArg_ParseTuple(args, "LL", &us, &at)) return NULL;
  if (nvr_session_replay(self->link.session, us, at) < 0)
    return PyErr_SetString(PyExc_ValueError, "a replay without video"), NULL;
  Py_RETURN_NONE;
}

PyDoc_STRVAR(stats_doc,
"stats()\n--\n\n"
"As of the last tick: (bytes_in, packets, lost, damaged, frames, keys, other, last_packet, last_key,\n"
"gop, gop_frames, reordered, sound, anchors, late, lead, lead_at, ntp_us, ntp_at, keyless, setless,\n"
"restored, foreign, overrun, jitter_us, fields, replayed); last_packet, last_key, gop, late, lead, lead_at and ntp_at in\n"
"90 kHz ticks. From any thread.");
static PyObject *session_stats(PyObject *o, PyObject *ignored) {
  const nvr_stats *s = &((SessionObject *)o)->stats;
  return Py_BuildValue("(KKKKKKKLLLKKKKLLLLLKKKKKIKi)", (unsigned long long)s->bytes_in, (unsigned long long)s->packets,
                       (unsigned long long)s->lost, (unsigned long long)s->damaged, (unsigned long long)s->frames,
                       (unsigned long long)s->keys, (unsigned long long)s->other, (long long)s->last_packet,
                       (long long)s->last_key, (long long)s->gop, (unsigned long long)s->gop_frames,
                       (unsigned long long)s->reordered, (unsigned long long)s->sound,
                       (unsigned long long)s->anchors, (long long)s->late, (long long)s->lead,
                       (long long)s->lead_at, (long long)s->ntp_us, (long long)s->ntp_at,
                       (unsigned long long)s->keyless, (unsigned long long)s->setless,
                       (unsigned long long)s->restored, (unsigned long long)s->foreign,
                       (unsigned long long)s->overrun, (unsigned int)s->jitter_us,
                       (unsigned long long)s->fields, s->replayed);
}

PyDoc_STRVAR(floors_doc, "floors()\n--\n\nWhere each track ends, in its own clock, and the reorder depth: (floors, reorder).");
static PyObject *session_floors(PyObject *o, PyObject *ignored) {
  SessionObject *self = (SessionObject *)o;
  if (!nvr_engine_idle(self->engine)) return NULL;
  PyObject *floors = PyTuple_New(self->tracks);
  if (!floors) return NULL;
  for (int i = 0; i < self->tracks; i++) {
    PyObject *floor = PyLong_FromLongLong(nvr_session_floor(self->link.session, i));
    if (!floor || PyTuple_SetItem(floors, i, floor) < 0) return Py_DECREF(floors), NULL;
  }
  return Py_BuildValue("(Ni)", floors, nvr_session_reorder(self->link.session));
}

static PyMethodDef session_methods[] = {
    {"feed", session_feed, METH_VARARGS, feed_doc},
    {"send", session_send, METH_VARARGS, send_doc},
    {"end", session_end, METH_NOARGS, end_doc},
    {"watch", session_watch, METH_VARARGS, watch_doc},
    {"portions", session_portions, METH_VARARGS, portions_doc},
    {"set_relays", session_relays, METH_VARARGS, relays_doc},
    {"set_datagrams", nvr_session_set_datagrams, METH_VARARGS, nvr_datagrams_doc},
    {"set_reports", session_reports, METH_VARARGS, reports_doc},
    {"set_replay", session_replay, METH_VARARGS, replay_doc},
    {"stats", session_stats, METH_NOARGS, stats_doc},
    {"floors", session_floors, METH_NOARGS, floors_doc},
    {NULL, NULL, 0, NULL},
};
static PyType_Slot session_slots[] = {
    {Py_tp_doc, (void *)session_doc}, {Py_tp_new, session_new}, {Py_tp_dealloc, session_dealloc},
    {Py_tp_methods, session_methods}, {0, NULL},
};
static PyType_Spec session_spec = {"nvr._native.Session", sizeof(SessionObject), 0, Py_TPFLAGS_DEFAULT, session_slots};

int nvr_add_session(PyObject *module) {
  mdat_type = (PyTypeObject *)PyType_FromSpec(&mdat_spec);
  nvr_session_type = (PyTypeObject *)PyType_FromSpec(&session_spec);
  if (!mdat_type || !nvr_session_type) return -1;
  return PyModule_AddObjectRef(module, "Session", (PyObject *)nvr_session_type);
}
