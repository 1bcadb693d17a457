/* The ingest engine for Python: all sessions of the ingest thread, drained in one call. */
#include "py_ingest.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

#include "buffer.h"

/* When a group of pictures ends a stream drops four parts at once, and all streams take a new buffer
 * at the next cut: 4 MiB for all was too little for 16 cameras. */
enum { POOL_KEEPS = 4 << 20, POOL_KEEPS_EACH = 768 << 10, MAX_READY = 64, TICKS_PER_S = 90000, REPORT_TICKS = 5 * TICKS_PER_S };

PyTypeObject *nvr_engine_type;

int nvr_engine_idle(EngineObject *engine) {
  if (!engine->busy) return 1;
  PyErr_SetString(PyExc_RuntimeError, "the engine belongs to the thread that ticks it");
  return 0;
}

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
  int how = on ? EPOLL_CTL_ADD : EPOLL_CTL_DEL, fds[2 * NVR_TRACKS];
  if (epoll_ctl(self->epoll_fd, how, session->link.fd, &event) == 0) session->prompt = on;
  for (int i = session->datagrams ? nvr_datagrams_fds(session->datagrams, fds) : 0; i--;)
    epoll_ctl(self->epoll_fd, how, fds[i], &event);
}

PyDoc_STRVAR(add_doc, "add(session, /)\n--\n\nDrain `session` in each tick from now on.");
static PyObject *engine_add(PyObject *o, PyObject *args) {
  EngineObject *self = (EngineObject *)o;
  PyObject *given;
  if (!nvr_engine_idle(self) || !PyArg_ParseTuple(args, "O!", nvr_session_type, &given)) return NULL;
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
  if (!nvr_engine_idle(self) || !PyArg_ParseTuple(args, "O!", nvr_session_type, &given)) return NULL;
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

PyDoc_STRVAR(prompt_doc, "prompt(session, on, /)\n--\n\nLet `wait` drain `session` when bytes for it are there.");
static PyObject *engine_prompt(PyObject *o, PyObject *args) {
  EngineObject *self = (EngineObject *)o;
  PyObject *given;
  int on;
  if (!nvr_engine_idle(self) || !PyArg_ParseTuple(args, "O!p", nvr_session_type, &given, &on)) return NULL;
  SessionObject *session = (SessionObject *)given;
  if (session->added) set_prompt(self, session, on);
  Py_RETURN_NONE;
}

/* Receiver reports between the frames, where the peer expects them. */
static void report(SessionObject *session, int64_t now) {
  uint8_t out[NVR_TRACKS * (4 + NVR_REPORT_BYTES)];
  size_t len = 0;
  int count = 1;
  if (!session->report_at) session->report_at = now + REPORT_TICKS;
  if (now < session->report_at) return;
  for (int i = 0; i < count; i++) {
    const nvr_track_setup *track = nvr_session_track(session->link.session, i, &count);
    size_t size = nvr_session_receipt(session->link.session, i, out + len + 4, now);
    if (!size) continue;
    out[len] = '$';
    out[len + 1] = (uint8_t)(track->channel + 1);
    out[len + 2] = 0;
    out[len + 3] = (uint8_t)size;
    len += 4 + size;
  }
  session->report_at = now + REPORT_TICKS;
  if (len && session->link.out_at == session->link.out_len) nvr_link_send(&session->link, out, len);
}

/* Read all sockets or those found ready, flush relays. No Python in here. */
static void drain(EngineObject *self, int64_t now, int all, int cut) {
  for (Py_ssize_t i = 0; i < self->count; i++) {
    SessionObject *session = (SessionObject *)self->sessions[i];
    if ((all || session->ready) && session->link.fd >= 0) {
      nvr_link_flush(&session->link);
      nvr_link_read(&session->link, self->room, now);
      if (session->datagrams) nvr_datagrams_read(session->datagrams, self->room, now);
      if (session->reports) report(session, now);
    }
    session->ready = 0;
    nvr_session_flush_live(session->link.session);
    if (cut) nvr_session_cut(session->link.session);
    if (nvr_session_ended(session->link.session)) set_prompt(self, session, 0);
  }
  for (Py_ssize_t i = 0; i < self->count; i++) {
    SessionObject *session = (SessionObject *)self->sessions[i];
    for (int r = 0; r < session->relay_count; r++)
      if (!session->prompt || nvr_relay_due(session->relay[r])) nvr_relay_flush(session->relay[r]);
  }
}

static int completed(const EngineObject *self) {
  for (Py_ssize_t i = 0; i < self->count; i++) {
    size_t count;
    nvr_session_events(((SessionObject *)self->sessions[i])->link.session, &count);
    if (count) return 1;
  }
  return 0;
}

/* Whether datagrams wait for their time, and with `send` those whose it is go. */
static int paced(const EngineObject *self, int send) {
  int any = 0;
  for (Py_ssize_t i = 0; i < self->count; i++) {
    SessionObject *session = (SessionObject *)self->sessions[i];
    for (int r = 0; r < session->relay_count; r++) {
      if (!nvr_relay_paced(session->relay[r])) continue;
      any = 1;
      if (send) nvr_relay_pump(session->relay[r]);
    }
  }
  return any;
}

static double monotonic_s(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static int until_ms(double seconds) { return seconds <= 0 ? 0 : seconds > 60 ? 60000 : (int)ceil(seconds * 1000); }

PyDoc_STRVAR(wait_doc,
"wait(now, next, tick, cut, /)\n--\n\n"
"Sleep until the wake descriptor is ready, something was completed, or `next` has come.\n\n"
"Prompt sessions are drained here when they are ready. With `tick` above 0, `next` before `cut` is a\n"
"tick that needs no Python either: all sockets are drained and relays flushed, and the sleep goes on.\n"
"All in seconds of the clock that says `now`.\n\n"
"Returns (whether something was completed, when the next tick is).");
static PyObject *engine_wait(PyObject *o, PyObject *args) {
  EngineObject *self = (EngineObject *)o;
  struct epoll_event events[MAX_READY];
  int done, woken = 0;
  double now, next, tick, cut;
  if (!nvr_engine_idle(self) || !PyArg_ParseTuple(args, "dddd", &now, &next, &tick, &cut)) return NULL;
  self->busy = 1;
  Py_BEGIN_ALLOW_THREADS
  const double origin = now - monotonic_s();
  do {
    now = origin + monotonic_s();
    double sleep = next - now;
    if (sleep > NVR_RELAY_PACE_S && paced(self, 0)) sleep = NVR_RELAY_PACE_S;
    int ready = epoll_wait(self->epoll_fd, events, MAX_READY, until_ms(sleep));
    paced(self, 1);
    now = origin + monotonic_s();
    for (int i = 0; i < ready; i++) {
      if (events[i].data.ptr)
        ((SessionObject *)events[i].data.ptr)->ready = 1;
      else
        woken = 1;
    }
    int all = tick > 0 && now >= next && now < cut;
    if (all || ready > woken) drain(self, (int64_t)(now * TICKS_PER_S), all, 0);
    if (all) next = (floor(now / tick) + 1) * tick;
    done = completed(self);
  } while (!woken && !done && now < next);
  Py_END_ALLOW_THREADS
  self->busy = 0;
  uint64_t value;
  if (woken && read(self->wake_fd, &value, sizeof value) < 0 && errno != EAGAIN)
    return PyErr_SetFromErrno(PyExc_OSError);
  return Py_BuildValue("(Nd)", PyBool_FromLong(done), next);
}

/* Takes `e->mdat` over. */
static PyObject *part_tuple(SessionObject *session, nvr_event *e) {
  nvr_buffer *buffer = e->mdat;
  e->mdat = NULL;
  PyObject *mdat = nvr_mdat_view(buffer), *offsets = mdat ? PyTuple_New(session->tracks) : NULL;
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
    else if (e->kind == NVR_EVENT_PORTION)
      item = Py_BuildValue("(iOy#LLLLii)", e->kind, session->tag, (const char *)e->data, (Py_ssize_t)e->len,
                           (long long)e->start, (long long)e->duration, (long long)e->lead, (long long)e->camera_us,
                           e->key, e->ends_gop);
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
"now: 90 kHz ticks of the monotonic clock. read: all sockets, or nothing. cut: close the open part\n"
"of every session.\n\n"
"Returns tuples that begin with kind and tag: (0, tag, message), (1, tag, errno; 0 the peer closed, -1\n"
"garbage), (2, tag, what a player needs as track(8), length(16)\n"
"and NAL unit or AudioSpecificConfig), (3, tag, moof, mdat, tfdt offsets, start,\n"
"duration, lead, camera_us, key, ends_gop, samples, damaged), (4, tag, fragment, key, start, track),\n"
"(5, tag, portion, start, duration, lead, camera_us, key, ends_gop).");
static PyObject *engine_tick(PyObject *o, PyObject *args) {
  EngineObject *self = (EngineObject *)o;
  long long now;
  int all, cut;
  if (!nvr_engine_idle(self) || !PyArg_ParseTuple(args, "Lpp", &now, &all, &cut)) return NULL;
  self->busy = 1;
  Py_BEGIN_ALLOW_THREADS
  drain(self, now, all, cut);
  Py_END_ALLOW_THREADS
  self->busy = 0;
  PyObject *list = PyList_New(0);
  if (!list) return NULL;
  for (Py_ssize_t i = 0; i < self->count; i++) {
    SessionObject *session = (SessionObject *)self->sessions[i];
    session->stats = *nvr_session_stats(session->link.session);
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
  nvr_engine_type = (PyTypeObject *)PyType_FromSpec(&engine_spec);
  if (!nvr_engine_type || nvr_add_session(module) < 0) return -1;
  return PyModule_AddObjectRef(module, "Engine", (PyObject *)nvr_engine_type);
}
