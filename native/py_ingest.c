/* The ingest engine for Python: all sessions of the ingest thread, drained in one call. */
#include "nvr_native.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "buffer.h"
#include "link.h"
#include "relay.h"

/* When a group of pictures ends a stream drops four parts at once, and all streams take a new buffer
 * at the next cut: 4 MiB for all was too little for 16 cameras. */
enum { POOL_KEEPS = 4 << 20, POOL_KEEPS_EACH = 768 << 10, MAX_READY = 64 };

typedef struct {
  PyObject_HEAD
  nvr_pool *pool;
  uint8_t *room;
  PyObject **sessions; /* SessionObject, owned */
  Py_ssize_t count, cap;
  int epoll_fd, wake_fd, busy;
} EngineObject;

typedef struct {
  PyObject_HEAD
  EngineObject *engine;
  nvr_link link;
  PyObject *tag;
  PyObject *relays[NVR_SESSION_RELAYS];
  nvr_relay *relay[NVR_SESSION_RELAYS];
  int relay_count, tracks, added, prompt, ready;
  nvr_stats stats; /* as of the last tick, for readers in other threads */
} SessionObject;

typedef struct {
  PyObject_HEAD
  nvr_buffer *buffer;
} MdatObject;

static PyTypeObject *mdat_type, *session_type, *engine_type;

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

/* Takes the reference to `buffer` over, also when it fails. */
static PyObject *mdat_view(nvr_buffer *buffer) {
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

static int idle(EngineObject *engine) {
  if (!engine->busy) return 1;
  PyErr_SetString(PyExc_RuntimeError, "the engine belongs to the thread that ticks it");
  return 0;
}

static int parse_track(PyObject *item, nvr_track_setup *t) {
  unsigned int clock_hz, payload, channel, channels, size_bits, index_bits, frame;
  long long floor;
  if (!PyTuple_Check(item)) return PyErr_SetString(PyExc_TypeError, "a track is a tuple"), -1;
  if (!PyArg_ParseTuple(item, "iIIIIIIILi", &t->codec, &clock_hz, &payload, &channel, &channels, &size_bits,
                        &index_bits, &frame, &floor, &t->reorder))
    return -1;
  if (t->codec < NVR_H264 || t->codec > NVR_G711 || clock_hz < 1000 || clock_hz > 1000000 || payload > 127 ||
      channel > 254 || channels > 16 || size_bits > 16 || index_bits > 8 || frame > 65536 || floor < 0 ||
      floor > (1ll << 60) || t->reorder < 0 || t->reorder > 16 || (t->codec == NVR_AAC && (!size_bits || !frame)) ||
      (t->codec == NVR_G711 && !channels))
    return PyErr_SetString(PyExc_ValueError, "a number of the track is out of range"), -1;
  t->clock_hz = clock_hz;
  t->payload_type = (uint8_t)payload;
  t->channel = (uint8_t)channel;
  t->channels = (uint8_t)channels;
  t->aac_size_bits = (uint8_t)size_bits;
  t->aac_index_bits = (uint8_t)index_bits;
  t->aac_frame = frame;
  t->floor = floor;
  return 0;
}

PyDoc_STRVAR(session_doc,
"Session(engine, tag, tracks, parameter_sets, fd)\n--\n\n"
"One connection of a camera; `fd` is a stream socket, or -1 if bytes are fed.\n\n"
"tracks: video first, each (codec, clock_hz, payload_type, channel, channels, size_bits,\n"
"index_bits, frame_samples, floor, reorder); codec 0 H.264, 1 H.265, 2 AAC, 3 G.711.\n"
"`tag` comes back with everything the session completes. One thread at a time.");

static PyObject *session_new(PyTypeObject *type, PyObject *args, PyObject *kwargs) {
  PyObject *engine, *tag, *tracks, *sets;
  nvr_track_setup setup[NVR_TRACKS];
  int fd;
  (void)kwargs;
  if (!PyArg_ParseTuple(args, "O!OO!O!i", engine_type, &engine, &tag, &PyTuple_Type, &tracks, &PyTuple_Type, &sets,
                        &fd))
    return NULL;
  Py_ssize_t count = PyTuple_Size(tracks);
  if (count < 1 || count > NVR_TRACKS) return PyErr_SetString(PyExc_ValueError, "one to four tracks"), NULL;
  for (Py_ssize_t i = 0; i < count; i++) {
    if (parse_track(PyTuple_GetItem(tracks, i), &setup[i]) < 0) return NULL;
    if (i && setup[i].codec <= NVR_H265) return PyErr_SetString(PyExc_ValueError, "video comes first, once"), NULL;
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
  if (!idle(self->engine) || !PyArg_ParseTuple(args, "y*L", &data, &now)) return NULL;
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
  if (!idle(self->engine) || !PyArg_ParseTuple(args, "y*", &data)) return NULL;
  int sent = self->link.fd >= 0 && nvr_link_send(&self->link, data.buf, (size_t)data.len) == 0;
  PyBuffer_Release(&data);
  return PyBool_FromLong(sent);
}

PyDoc_STRVAR(end_doc, "end()\n--\n\nThe connection is over: what is complete goes out with the next tick.");
static PyObject *session_end(PyObject *o, PyObject *ignored) {
  SessionObject *self = (SessionObject *)o;
  if (!idle(self->engine)) return NULL;
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
  if (!idle(self->engine) || !PyArg_ParseTuple(args, "p", &on)) return NULL;
  if (nvr_session_watch(self->link.session, on, &open) < 0) return PyErr_NoMemory();
  if (!open.data) Py_RETURN_NONE;
  PyObject *out =
      Py_BuildValue("(y#OL)", (const char *)open.data, (Py_ssize_t)open.len, open.key ? Py_True : Py_False, (long long)open.start);
  free(open.data);
  return out;
}

PyDoc_STRVAR(relays_doc,
"set_relays(relays, restart, /)\n--\n\n"
"Relays that get each RTP packet, at most four; `restart`: a new run begins for them.");
static PyObject *session_relays(PyObject *o, PyObject *args) {
  SessionObject *self = (SessionObject *)o;
  PyObject *given;
  nvr_relay *relays[NVR_SESSION_RELAYS] = {NULL};
  int restart;
  if (!idle(self->engine) || !PyArg_ParseTuple(args, "O!p", &PyTuple_Type, &given, &restart)) return NULL;
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

PyDoc_STRVAR(stats_doc,
"stats()\n--\n\n"
"As of the last tick: (bytes_in, packets, lost, damaged, frames, keys, other, last_packet, last_key,\n"
"gop), the last three in 90 kHz ticks. From any thread.");
static PyObject *session_stats(PyObject *o, PyObject *ignored) {
  const nvr_stats *s = &((SessionObject *)o)->stats;
  return Py_BuildValue("(KKKKKKKLLL)", (unsigned long long)s->bytes_in, (unsigned long long)s->packets,
                       (unsigned long long)s->lost, (unsigned long long)s->damaged, (unsigned long long)s->frames,
                       (unsigned long long)s->keys, (unsigned long long)s->other, (long long)s->last_packet,
                       (long long)s->last_key, (long long)s->gop);
}

PyDoc_STRVAR(floors_doc, "floors()\n--\n\nWhere each track ends, in its own clock, and the reorder depth: (floors, reorder).");
static PyObject *session_floors(PyObject *o, PyObject *ignored) {
  SessionObject *self = (SessionObject *)o;
  if (!idle(self->engine)) return NULL;
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
    {"set_relays", session_relays, METH_VARARGS, relays_doc},
    {"stats", session_stats, METH_NOARGS, stats_doc},
    {"floors", session_floors, METH_NOARGS, floors_doc},
    {NULL, NULL, 0, NULL},
};
static PyType_Slot session_slots[] = {
    {Py_tp_doc, (void *)session_doc}, {Py_tp_new, session_new}, {Py_tp_dealloc, session_dealloc},
    {Py_tp_methods, session_methods}, {0, NULL},
};
static PyType_Spec session_spec = {"nvr._native.Session", sizeof(SessionObject), 0, Py_TPFLAGS_DEFAULT, session_slots};

/* Engine */

PyDoc_STRVAR(engine_doc,
"Engine(wake_fd, /)\n--\n\n"
"All sessions of the ingest thread. `wake_fd` is an eventfd that ends a wait.");

static PyObject *engine_new(PyTypeObject *type, PyObject *args, PyObject *kwargs) {
  int wake_fd;
  (void)kwargs;
  if (!PyArg_ParseTuple(args, "i", &wake_fd)) return NULL;
  allocfunc alloc = (allocfunc)PyType_GetSlot(type, Py_tp_alloc);
  EngineObject *self = (EngineObject *)alloc(type, 0);
  if (!self) return NULL;
  self->wake_fd = wake_fd;
  self->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
  self->pool = nvr_pool_new(POOL_KEEPS);
  self->room = malloc(NVR_READ_ROOM);
  if (!self->pool || !self->room) return Py_DECREF(self), PyErr_NoMemory();
  struct epoll_event event = {.events = EPOLLIN, .data.ptr = NULL};
  if (self->epoll_fd < 0 || epoll_ctl(self->epoll_fd, EPOLL_CTL_ADD, wake_fd, &event) < 0)
    return Py_DECREF(self), PyErr_SetFromErrno(PyExc_OSError);
  return (PyObject *)self;
}

static void size_pool(EngineObject *self) {
  nvr_pool_keep(self->pool, POOL_KEEPS + (size_t)self->count * POOL_KEEPS_EACH);
}

static void engine_dealloc(PyObject *o) {
  EngineObject *self = (EngineObject *)o;
  PyTypeObject *type = Py_TYPE(o);
  if (self->epoll_fd >= 0) close(self->epoll_fd);
  free(self->sessions);
  free(self->room);
  if (self->pool) nvr_pool_drop(self->pool);
  freefunc release = (freefunc)PyType_GetSlot(type, Py_tp_free);
  release(o);
  Py_DECREF(type);
}

static void set_prompt(EngineObject *self, SessionObject *session, int on) {
  if (session->link.fd < 0 || session->prompt == on) return;
  struct epoll_event event = {.events = EPOLLIN, .data.ptr = session};
  if (epoll_ctl(self->epoll_fd, on ? EPOLL_CTL_ADD : EPOLL_CTL_DEL, session->link.fd, &event) == 0) session->prompt = on;
}

PyDoc_STRVAR(add_doc, "add(session, /)\n--\n\nDrain `session` in each tick from now on.");
static PyObject *engine_add(PyObject *o, PyObject *args) {
  EngineObject *self = (EngineObject *)o;
  PyObject *given;
  if (!idle(self) || !PyArg_ParseTuple(args, "O!", session_type, &given)) return NULL;
  SessionObject *session = (SessionObject *)given;
  if (session->engine != self || session->added)
    return PyErr_SetString(PyExc_ValueError, "the session is another engine's, or added already"), NULL;
  if (self->count == self->cap) {
    Py_ssize_t cap = self->cap ? self->cap * 2 : 16;
    PyObject **grown = realloc(self->sessions, (size_t)cap * sizeof *grown);
    if (!grown) return PyErr_NoMemory();
    self->sessions = grown;
    self->cap = cap;
  }
  self->sessions[self->count++] = Py_NewRef(given);
  session->added = 1;
  size_pool(self);
  Py_RETURN_NONE;
}

PyDoc_STRVAR(remove_doc, "remove(session, /)\n--\n\nForget `session` and its tag.");
static PyObject *engine_remove(PyObject *o, PyObject *args) {
  EngineObject *self = (EngineObject *)o;
  PyObject *given;
  if (!idle(self) || !PyArg_ParseTuple(args, "O!", session_type, &given)) return NULL;
  SessionObject *session = (SessionObject *)given;
  for (Py_ssize_t i = 0; i < self->count; i++) {
    if (self->sessions[i] != given) continue;
    set_prompt(self, session, 0);
    self->sessions[i] = self->sessions[--self->count];
    session->added = 0;
    size_pool(self);
    Py_CLEAR(session->tag);
    Py_DECREF(given);
    break;
  }
  Py_RETURN_NONE;
}

PyDoc_STRVAR(prompt_doc, "prompt(session, on, /)\n--\n\nLet `wait` return when bytes for `session` are there.");
static PyObject *engine_prompt(PyObject *o, PyObject *args) {
  EngineObject *self = (EngineObject *)o;
  PyObject *given;
  int on;
  if (!idle(self) || !PyArg_ParseTuple(args, "O!p", session_type, &given, &on)) return NULL;
  SessionObject *session = (SessionObject *)given;
  if (session->added) set_prompt(self, session, on);
  Py_RETURN_NONE;
}

PyDoc_STRVAR(wait_doc,
"wait(timeout_ms, /)\n--\n\n"
"Sleep until the wake descriptor or a prompt session is ready, or the time is over. Returns the\n"
"number of prompt sessions that are ready.");
static PyObject *engine_wait(PyObject *o, PyObject *args) {
  EngineObject *self = (EngineObject *)o;
  struct epoll_event events[MAX_READY];
  int timeout_ms, ready, count = 0;
  if (!idle(self) || !PyArg_ParseTuple(args, "i", &timeout_ms)) return NULL;
  self->busy = 1;
  Py_BEGIN_ALLOW_THREADS
  ready = epoll_wait(self->epoll_fd, events, MAX_READY, timeout_ms);
  Py_END_ALLOW_THREADS
  self->busy = 0;
  for (int i = 0; i < ready; i++) {
    if (events[i].data.ptr) {
      ((SessionObject *)events[i].data.ptr)->ready = 1;
      count++;
    } else {
      uint64_t value;
      if (read(self->wake_fd, &value, sizeof value) < 0 && errno != EAGAIN) return PyErr_SetFromErrno(PyExc_OSError);
    }
  }
  return PyLong_FromLong(count);
}

/* Takes `e->mdat` over. */
static PyObject *part_tuple(SessionObject *session, nvr_event *e) {
  nvr_buffer *buffer = e->mdat;
  e->mdat = NULL;
  PyObject *mdat = mdat_view(buffer), *offsets = mdat ? PyTuple_New(session->tracks) : NULL;
  for (int i = 0; offsets && i < session->tracks; i++) {
    PyObject *offset = PyLong_FromLong(e->tfdt[i]);
    if (!offset || PyTuple_SetItem(offsets, i, offset) < 0) Py_CLEAR(offsets);
  }
  if (!offsets) return Py_XDECREF(mdat), NULL;
  return Py_BuildValue("(iOy#NNLLLLiiII)", e->kind, session->tag, (const char *)e->data, (Py_ssize_t)e->len, mdat,
                       offsets, (long long)e->start, (long long)e->duration, (long long)e->lead,
                       (long long)e->camera_us, e->key, e->ends_gop, e->samples, e->damaged);
}

static int collect(SessionObject *session, PyObject *list) {
  size_t count;
  nvr_event *events = (nvr_event *)nvr_session_events(session->link.session, &count);
  for (size_t i = 0; i < count; i++) {
    nvr_event *e = &events[i];
    PyObject *item;
    if (e->kind == NVR_EVENT_PART)
      item = part_tuple(session, e);
    else if (e->kind == NVR_EVENT_CLOSED)
      item = Py_BuildValue("(iOi)", e->kind, session->tag, e->error);
    else if (e->kind == NVR_EVENT_LIVE)
      item = Py_BuildValue("(iOy#iLi)", e->kind, session->tag, (const char *)e->data, (Py_ssize_t)e->len, e->key,
                           (long long)e->start, e->track);
    else
      item = Py_BuildValue("(iOy#)", e->kind, session->tag, (const char *)e->data, (Py_ssize_t)e->len);
    int failed = !item || PyList_Append(list, item) < 0;
    Py_XDECREF(item);
    if (failed) return -1;
  }
  nvr_session_forget_events(session->link.session);
  return 0;
}

PyDoc_STRVAR(tick_doc,
"tick(now, read, cut, /)\n--\n\n"
"Drain sockets, flush relays, and return what was completed, in order.\n\n"
"now: 90 kHz ticks of the monotonic clock. read: 0 nothing, 1 the sessions found ready by `wait`,\n"
"2 all. cut: close the open part of every session.\n\n"
"Returns tuples that begin with kind and tag: (0, tag, message), (1, tag, errno; 0 the peer closed, -1\n"
"garbage), (2, tag, parameter sets as length(16) and bytes), (3, tag, moof, mdat, tfdt offsets, start,\n"
"duration, lead, camera_us, key, ends_gop, samples, damaged), (4, tag, fragment, key, start, track).");
static PyObject *engine_tick(PyObject *o, PyObject *args) {
  EngineObject *self = (EngineObject *)o;
  long long now;
  int which, cut;
  if (!idle(self) || !PyArg_ParseTuple(args, "Lip", &now, &which, &cut)) return NULL;
  self->busy = 1;
  Py_BEGIN_ALLOW_THREADS
  for (Py_ssize_t i = 0; i < self->count; i++) {
    SessionObject *session = (SessionObject *)self->sessions[i];
    int due = which == 2 || (which == 1 && session->ready);
    if (due && session->link.fd >= 0) {
      nvr_link_flush(&session->link);
      nvr_link_read(&session->link, self->room, now);
    }
    session->ready = 0;
    nvr_session_flush_live(session->link.session);
    if (cut) nvr_session_cut(session->link.session);
  }
  for (Py_ssize_t i = 0; i < self->count; i++) {
    SessionObject *session = (SessionObject *)self->sessions[i];
    for (int r = 0; r < session->relay_count; r++) nvr_relay_flush(session->relay[r]);
  }
  Py_END_ALLOW_THREADS
  self->busy = 0;
  PyObject *list = PyList_New(0);
  if (!list) return NULL;
  for (Py_ssize_t i = 0; i < self->count; i++) {
    SessionObject *session = (SessionObject *)self->sessions[i];
    session->stats = *nvr_session_stats(session->link.session);
    if (session->prompt && nvr_session_ended(session->link.session)) set_prompt(self, session, 0);
    if (collect(session, list) < 0) return Py_DECREF(list), NULL;
  }
  return list;
}

static PyMethodDef engine_methods[] = {
    {"add", engine_add, METH_VARARGS, add_doc},
    {"remove", engine_remove, METH_VARARGS, remove_doc},
    {"prompt", engine_prompt, METH_VARARGS, prompt_doc},
    {"wait", engine_wait, METH_VARARGS, wait_doc},
    {"tick", engine_tick, METH_VARARGS, tick_doc},
    {NULL, NULL, 0, NULL},
};
static PyType_Slot engine_slots[] = {
    {Py_tp_doc, (void *)engine_doc}, {Py_tp_new, engine_new}, {Py_tp_dealloc, engine_dealloc},
    {Py_tp_methods, engine_methods}, {0, NULL},
};
static PyType_Spec engine_spec = {"nvr._native.Engine", sizeof(EngineObject), 0, Py_TPFLAGS_DEFAULT, engine_slots};

int nvr_add_ingest(PyObject *module) {
  mdat_type = (PyTypeObject *)PyType_FromSpec(&mdat_spec);
  engine_type = (PyTypeObject *)PyType_FromSpec(&engine_spec);
  session_type = (PyTypeObject *)PyType_FromSpec(&session_spec);
  if (!mdat_type || !engine_type || !session_type) return -1;
  if (PyModule_AddObjectRef(module, "Engine", (PyObject *)engine_type) < 0) return -1;
  return PyModule_AddObjectRef(module, "Session", (PyObject *)session_type);
}
