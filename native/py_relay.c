/* Relays and their readers for Python. */
#include "nvr_native.h"
#include "relay.h"

typedef struct {
  PyObject_HEAD
  nvr_relay *relay;
  PyObject *ps; /* keeps the program stream alive */
} RelayObject;

typedef struct {
  PyObject_HEAD
  PyObject *owner; /* keeps the relay alive */
  nvr_reader *reader;
} ReaderObject;

/* The type that nvr_relay_from compares with: the ingest core has no module object at hand. */
static PyTypeObject *relay_type, *reader_type;

nvr_relay *nvr_relay_from(PyObject *object) {
  if (!relay_type || !PyObject_TypeCheck(object, relay_type)) {
    PyErr_SetString(PyExc_TypeError, "expected a Relay");
    return NULL;
  }
  return ((RelayObject *)object)->relay;
}

static int parse_track(PyObject *item, nvr_relay_track *t) {
  unsigned int clock_hz, payload_type, ssrc, sequence, timestamp;
  int channel, video;
  PyObject *tuple = PySequence_Tuple(item);
  if (!tuple) return -1;
  int ok = PyArg_ParseTuple(tuple, "IIiIIIp", &clock_hz, &payload_type, &channel, &ssrc, &sequence,
                            &timestamp, &video);
  Py_DECREF(tuple);
  if (!ok) return -1;
  if (clock_hz < 1 || clock_hz > 1000000 || payload_type > 127 || channel < -1 || channel > 254) {
    PyErr_SetString(PyExc_ValueError, "clock_hz is 1-1000000, payload type 0-127, channel -1 to 254");
    return -1;
  }
  *t = (nvr_relay_track){clock_hz, ssrc, timestamp, (uint16_t)sequence, (uint8_t)payload_type, channel, video};
  return 0;
}

PyDoc_STRVAR(relay_doc,
"Relay(tracks, *, backlog_bytes=2097152, backlog_s=2.0, stuck_s=10.0, report_s=5.0, notify_fd=-1,\n"
"peak_bytes_s=0.0, program=None)\n--\n\n"
"RTP packets of one stream, rewritten once and sent to many readers.\n\n"
"tracks: for each track of the stream (clock_hz, payload_type, channel, ssrc, sequence,\n"
"timestamp, video); channel -1 leaves a track out.\n"
"notify_fd: eventfd written when a reader that is pulled has something.\n"
"peak_bytes_s: of a reader that takes datagrams, 0 as they come.\n"
"program: a PsMuxer that nobody else uses: the one track carries its program stream, made of what\n"
"`unit` is given, behind two bytes of length (RFC 4571).");

static PyObject *relay_new(PyTypeObject *type, PyObject *args, PyObject *kwargs) {
  static char *names[] = {"tracks", "backlog_bytes", "backlog_s", "stuck_s", "report_s",
                          "notify_fd", "peak_bytes_s", "program", NULL};
  PyObject *given, *program = Py_None;
  struct nvr_ps *ps = NULL;
  Py_ssize_t backlog_bytes = 2 << 20;
  nvr_relay_limits limits = {.backlog_s = 2.0, .stuck_s = 10.0, .report_s = 5.0, .notify_fd = -1};
  if (!PyArg_ParseTupleAndKeywords(args, kwargs, "O|$ndddidO", names, &given, &backlog_bytes, &limits.backlog_s,
                                   &limits.stuck_s, &limits.report_s, &limits.notify_fd, &limits.peak_bytes_s,
                                   &program))
    return NULL;
  if (program != Py_None && !(ps = nvr_ps_from(program))) return NULL;
  PyObject *list = PySequence_Tuple(given);
  if (!list) return NULL;
  nvr_relay_track tracks[NVR_RELAY_TRACKS];
  Py_ssize_t count = PyTuple_Size(list);
  int bad = 0;
  if (count < 1 || count > NVR_RELAY_TRACKS || backlog_bytes < 1) {
    PyErr_SetString(PyExc_ValueError, "a relay has 1 to 8 tracks and a backlog of at least one byte");
    bad = 1;
  }
  for (Py_ssize_t i = 0; !bad && i < count; i++) bad = parse_track(PyTuple_GetItem(list, i), &tracks[i]) < 0;
  Py_DECREF(list);
  if (!bad && ps && count != 1) {
    PyErr_SetString(PyExc_ValueError, "a program stream is one track");
    bad = 1;
  }
  if (bad) return NULL;
  limits.backlog_bytes = (size_t)backlog_bytes;
  allocfunc alloc = (allocfunc)PyType_GetSlot(type, Py_tp_alloc);
  RelayObject *self = (RelayObject *)alloc(type, 0);
  if (!self) return NULL;
  self->relay = nvr_relay_new(tracks, (int)count, &limits);
  if (!self->relay) {
    Py_DECREF(self);
    return PyErr_NoMemory();
  }
  if (ps) {
    nvr_relay_carry(self->relay, ps);
    self->ps = Py_NewRef(program);
  }
  return (PyObject *)self;
}

static void relay_dealloc(RelayObject *self) {
  PyTypeObject *type = Py_TYPE((PyObject *)self);
  nvr_relay_free(self->relay);
  Py_XDECREF(self->ps);
  ((freefunc)PyType_GetSlot(type, Py_tp_free))(self);
  Py_DECREF(type);
}

PyDoc_STRVAR(packet_doc,
"packet(track, rtp, starts_key, /)\n--\n\n"
"Take one RTP packet of the track with that index.\n\n"
"Only the thread that feeds the relay may call this, `sync`, `restart` and `flush`.\n"
"Raises ValueError if it is no RTP packet of a track of this relay.");

static PyObject *relay_packet(RelayObject *self, PyObject *args) {
  int track, starts_key;
  Py_buffer rtp;
  if (!PyArg_ParseTuple(args, "iy*p", &track, &rtp, &starts_key)) return NULL;
  int bad = nvr_relay_packet(self->relay, track, rtp.buf, (size_t)rtp.len, starts_key);
  PyBuffer_Release(&rtp);
  if (bad) {
    PyErr_SetString(PyExc_ValueError, "not an RTP packet of this relay");
    return NULL;
  }
  Py_RETURN_NONE;
}

PyDoc_STRVAR(unit_doc,
"unit(track, data, dts, pts, key, /)\n--\n\n"
"Take one access unit of the program stream, as `PsMuxer.pack`. As `packet`, of the feeding thread.");

static PyObject *relay_unit(RelayObject *self, PyObject *args) {
  int track, key;
  long long dts, pts;
  Py_buffer data;
  if (!PyArg_ParseTuple(args, "iy*LLp", &track, &data, &dts, &pts, &key)) return NULL;
  nvr_relay_unit(self->relay, track, data.buf, (size_t)data.len, dts, pts, key);
  PyBuffer_Release(&data);
  Py_RETURN_NONE;
}

PyDoc_STRVAR(sync_doc,
"sync(track, timestamp, ntp, /)\n--\n\n"
"The camera's sender report: its RTP time `timestamp` was at 64-bit NTP time `ntp`.");

static PyObject *relay_sync(RelayObject *self, PyObject *args) {
  int track;
  unsigned int timestamp;
  unsigned long long ntp;
  if (!PyArg_ParseTuple(args, "iIK", &track, &timestamp, &ntp)) return NULL;
  nvr_relay_sync(self->relay, track, timestamp, ntp);
  Py_RETURN_NONE;
}

#define RELAY_ACTION(name)                                        \
  static PyObject *relay_##name(RelayObject *self, PyObject *n) { \
    Py_BEGIN_ALLOW_THREADS                                        \
    nvr_relay_##name(self->relay);                                \
    Py_END_ALLOW_THREADS                                          \
    Py_RETURN_NONE;                                               \
  }

RELAY_ACTION(flush)
RELAY_ACTION(restart)
RELAY_ACTION(pump)

PyDoc_STRVAR(flush_doc, "flush()\n--\n\nSend what came since the last flush to every reader.");
PyDoc_STRVAR(restart_doc, "restart()\n--\n\nA new run of the stream begins: the session goes on.");
PyDoc_STRVAR(pump_doc, "pump()\n--\n\nSend readers what is left over; any thread may call this.");
PyDoc_STRVAR(readers_doc, "readers()\n--\n\nNumber of readers attached.");

static PyObject *relay_readers(RelayObject *self, PyObject *ignored) {
  return PyLong_FromLong(nvr_relay_readers(self->relay));
}

PyDoc_STRVAR(carries_doc, "carries_program()\n--\n\nWhether it is given units instead of packets.");

static PyObject *relay_carries(RelayObject *self, PyObject *ignored) {
  return PyBool_FromLong(self->ps != NULL);
}

PyDoc_STRVAR(add_doc,
"add(fd, text=b'', ssrc=-1, /)\n--\n\n"
"Attach a paused reader that is sent to on a duplicate of the non-blocking socket `fd`, or\n"
"that is pulled if `fd` is -1. `text` goes out first. All packets have `ssrc` unless that is -1. To a\n"
"connected datagram socket packets go one by one.");

static PyObject *relay_add(RelayObject *self, PyObject *args) {
  int fd;
  long long ssrc = -1;
  Py_buffer text = {0};
  if (!PyArg_ParseTuple(args, "i|y*L", &fd, &text, &ssrc)) return NULL;
  allocfunc alloc = (allocfunc)PyType_GetSlot(reader_type, Py_tp_alloc);
  ReaderObject *reader = (ReaderObject *)alloc(reader_type, 0);
  if (reader) {
    Py_BEGIN_ALLOW_THREADS
    reader->reader = nvr_reader_new(self->relay, fd, text.buf, (size_t)text.len);
    Py_END_ALLOW_THREADS
    if (reader->reader && ssrc >= 0) nvr_reader_name(reader->reader, (uint32_t)ssrc);
    if (reader->reader) {
      reader->owner = Py_NewRef((PyObject *)self);
    } else {
      PyErr_SetFromErrno(PyExc_OSError);
      Py_DECREF(reader);
      reader = NULL;
    }
  }
  if (text.obj) PyBuffer_Release(&text);
  return (PyObject *)reader;
}

static void reader_dealloc(ReaderObject *self) {
  PyTypeObject *type = Py_TYPE((PyObject *)self);
  Py_BEGIN_ALLOW_THREADS
  nvr_reader_free(self->reader);
  Py_END_ALLOW_THREADS
  Py_XDECREF(self->owner);
  ((freefunc)PyType_GetSlot(type, Py_tp_free))(self);
  Py_DECREF(type);
}

#define READER_ACTION(name)                                         \
  static PyObject *reader_##name(ReaderObject *self, PyObject *n) { \
    Py_BEGIN_ALLOW_THREADS                                          \
    nvr_reader_##name(self->reader);                                \
    Py_END_ALLOW_THREADS                                            \
    Py_RETURN_NONE;                                                 \
  }

READER_ACTION(play)
READER_ACTION(pause)
READER_ACTION(close)

PyDoc_STRVAR(route_doc,
"route(channel, fd, /)\n--\n\n"
"Send packets of an interleaved channel to the connected datagram socket `fd` instead of as one\n"
"stream; what is not routed then goes nowhere. Before `play`.");
static PyObject *reader_route(ReaderObject *self, PyObject *args) {
  int channel, fd;
  if (!PyArg_ParseTuple(args, "ii", &channel, &fd)) return NULL;
  if (nvr_reader_route(self->reader, channel, fd) < 0)
    return PyErr_SetString(PyExc_ValueError, "not a channel, or not a socket, that packets can go to"), NULL;
  Py_RETURN_NONE;
}

PyDoc_STRVAR(play_doc, "play()\n--\n\nBegin with the next key access unit.");
PyDoc_STRVAR(pause_doc, "pause()\n--\n\nSend no more pictures after the one in transit.");
PyDoc_STRVAR(close_doc, "close()\n--\n\nStop sending; the socket itself stays open.");
PyDoc_STRVAR(send_doc,
"send(text, /)\n--\n\n"
"Queue a message between interleaved frames. False if the reader has ended.");
PyDoc_STRVAR(pull_doc, "pull(size, /)\n--\n\nTake up to `size` bytes of what this reader is to be sent.");
PyDoc_STRVAR(stats_doc,
"stats()\n--\n\n"
"(state, end, sent_bytes, dropped_bytes, drops, backlog_bytes).");

static PyObject *reader_send(ReaderObject *self, PyObject *args) {
  Py_buffer text;
  int result;
  if (!PyArg_ParseTuple(args, "y*", &text)) return NULL;
  Py_BEGIN_ALLOW_THREADS
  result = nvr_reader_send(self->reader, text.buf, (size_t)text.len);
  Py_END_ALLOW_THREADS
  PyBuffer_Release(&text);
  return PyBool_FromLong(result == 0);
}

static PyObject *reader_pull(ReaderObject *self, PyObject *args) {
  Py_ssize_t size;
  if (!PyArg_ParseTuple(args, "n", &size)) return NULL;
  nvr_reader_stats stats;
  nvr_reader_read_stats(self->reader, &stats);
  if (size < 0) size = 0;
  if ((size_t)size > stats.backlog_bytes) size = (Py_ssize_t)stats.backlog_bytes;
  PyObject *data = PyBytes_FromStringAndSize(NULL, size);
  if (!data) return NULL;
  size_t len = nvr_reader_pull(self->reader, (uint8_t *)PyBytes_AsString(data), (size_t)size);
  if (len == (size_t)size) return data;
  /* An overflow cut the backlog between the two calls. */
  PyObject *less = PyBytes_FromStringAndSize(PyBytes_AsString(data), (Py_ssize_t)len);
  Py_DECREF(data);
  return less;
}

static PyObject *reader_stats(ReaderObject *self, PyObject *ignored) {
  static const char *const states[] = {"paused", "waiting", "playing", "closed"};
  static const char *const ends[] = {"", "stuck", "socket", "text", "memory"};
  nvr_reader_stats s;
  Py_BEGIN_ALLOW_THREADS
  nvr_reader_read_stats(self->reader, &s);
  Py_END_ALLOW_THREADS
  return Py_BuildValue("(ssKKKn)", states[s.state], ends[s.end], (unsigned long long)s.sent_bytes,
                       (unsigned long long)s.dropped_bytes, (unsigned long long)s.drops,
                       (Py_ssize_t)s.backlog_bytes);
}

static PyMethodDef relay_methods[] = {
    {"packet", (PyCFunction)relay_packet, METH_VARARGS, packet_doc},
    {"unit", (PyCFunction)relay_unit, METH_VARARGS, unit_doc},
    {"sync", (PyCFunction)relay_sync, METH_VARARGS, sync_doc},
    {"flush", (PyCFunction)relay_flush, METH_NOARGS, flush_doc},
    {"restart", (PyCFunction)relay_restart, METH_NOARGS, restart_doc},
    {"pump", (PyCFunction)relay_pump, METH_NOARGS, pump_doc},
    {"readers", (PyCFunction)relay_readers, METH_NOARGS, readers_doc},
    {"carries_program", (PyCFunction)relay_carries, METH_NOARGS, carries_doc},
    {"add", (PyCFunction)relay_add, METH_VARARGS, add_doc},
    {NULL, NULL, 0, NULL},
};

static PyMethodDef reader_methods[] = {
    {"route", (PyCFunction)reader_route, METH_VARARGS, route_doc},
    {"play", (PyCFunction)reader_play, METH_NOARGS, play_doc},
    {"pause", (PyCFunction)reader_pause, METH_NOARGS, pause_doc},
    {"close", (PyCFunction)reader_close, METH_NOARGS, close_doc},
    {"send", (PyCFunction)reader_send, METH_VARARGS, send_doc},
    {"pull", (PyCFunction)reader_pull, METH_VARARGS, pull_doc},
    {"stats", (PyCFunction)reader_stats, METH_NOARGS, stats_doc},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot relay_slots[] = {
    {Py_tp_doc, (void *)relay_doc},
    {Py_tp_new, (void *)relay_new},
    {Py_tp_dealloc, (void *)relay_dealloc},
    {Py_tp_methods, relay_methods},
    {0, NULL},
};

static PyType_Slot reader_slots[] = {
    {Py_tp_dealloc, (void *)reader_dealloc},
    {Py_tp_methods, reader_methods},
    {0, NULL},
};

static PyType_Spec relay_spec = {"nvr._native.Relay", sizeof(RelayObject), 0, Py_TPFLAGS_DEFAULT, relay_slots};
static PyType_Spec reader_spec = {
    "nvr._native.RelayReader", sizeof(ReaderObject), 0,
    Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION, reader_slots};

int nvr_add_relay(PyObject *module) {
  PyObject *relay = PyType_FromModuleAndSpec(module, &relay_spec, NULL);
  PyObject *reader = PyType_FromModuleAndSpec(module, &reader_spec, NULL);
  if (!relay || !reader || PyModule_AddObjectRef(module, "Relay", relay) < 0 ||
      PyModule_AddObjectRef(module, "RelayReader", reader) < 0) {
    Py_XDECREF(relay);
    Py_XDECREF(reader);
    return -1;
  }
  relay_type = (PyTypeObject *)relay; /* kept for the life of the process */
  reader_type = (PyTypeObject *)reader;
  return 0;
}
