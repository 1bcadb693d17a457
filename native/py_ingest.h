/* What the engine's and the session's bindings share. */
#ifndef NVR_PY_INGEST_H
#define NVR_PY_INGEST_H

#include "nvr_native.h"

#include "datagram.h"
#include "link.h"
#include "relay.h"

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
  nvr_datagrams *datagrams; /* NULL: packets come interleaved */
  PyObject *tag;
  PyObject *relays[NVR_SESSION_RELAYS];
  nvr_relay *relay[NVR_SESSION_RELAYS];
  int relay_count, tracks, added, prompt, ready, reports;
  int64_t report_at;
  nvr_stats stats; /* as of the last tick, for readers in other threads */
} SessionObject;

extern PyTypeObject *nvr_engine_type, *nvr_session_type;

/* 0 with RuntimeError while the engine is in a tick. */
int nvr_engine_idle(EngineObject *engine);

/* Session.set_datagrams, of py_datagram.c. */
extern const char nvr_datagrams_doc[];
PyObject *nvr_session_set_datagrams(PyObject *o, PyObject *args);

/* Makes the types; 0, or -1. */
int nvr_add_session(PyObject *module);
/* A memoryview of a part. Takes the reference to `buffer` over, also when it fails. */
PyObject *nvr_mdat_view(nvr_buffer *buffer);

#endif
