/* Datagram sockets of a session, for Python. */
#include "py_ingest.h"

#include <arpa/inet.h>
#include <string.h>

const char nvr_datagrams_doc[] = PyDoc_STR(
"set_datagrams(ports, /)\n--\n\n"
"Packets come on these sockets, which stay the caller's; once, before the session is added.\n\n"
"ports: one a track, each (track, rtp_fd, rtcp_fd, senders, punch, report): `rtcp_fd` -1 without\n"
"one; `senders` one or two addresses that are taken from, packed as by inet_pton; `punch` and\n"
"`report` (address, port) of the peer's ends, None unknown.");

static int parse_address(const char *packed, Py_ssize_t len, unsigned port, nvr_address *a) {
  memset(a, 0, sizeof *a);
  if (len == 4) {
    a->v4.sin_family = AF_INET;
    a->v4.sin_port = htons((uint16_t)port);
    memcpy(&a->v4.sin_addr, packed, 4);
  } else if (len == 16) {
    a->v6.sin6_family = AF_INET6;
    a->v6.sin6_port = htons((uint16_t)port);
    memcpy(&a->v6.sin6_addr, packed, 16);
  } else {
    return PyErr_SetString(PyExc_ValueError, "an address has 4 or 16 bytes"), -1;
  }
  if (port > 65535) return PyErr_SetString(PyExc_ValueError, "a port is at most 65535"), -1;
  return 0;
}

static int parse_end(PyObject *given, nvr_address *a) {
  const char *packed;
  Py_ssize_t len;
  unsigned int port;
  a->any.sa_family = AF_UNSPEC;
  if (given == Py_None) return 0;
  if (!PyTuple_Check(given)) return PyErr_SetString(PyExc_TypeError, "an end is (address, port)"), -1;
  return PyArg_ParseTuple(given, "y#I", &packed, &len, &port) ? parse_address(packed, len, port, a) : -1;
}

static int parse_port(PyObject *item, int tracks, nvr_port_setup *p) {
  PyObject *senders, *punch, *report;
  if (!PyTuple_Check(item)) return PyErr_SetString(PyExc_TypeError, "a port is a tuple"), -1;
  if (!PyArg_ParseTuple(item, "iiiO!OO", &p->track, &p->rtp, &p->rtcp, &PyTuple_Type, &senders, &punch, &report)) return -1;
  Py_ssize_t count = PyTuple_Size(senders);
  if (p->track < 0 || p->track >= tracks || p->rtp < 0 || p->rtcp < -1 || count < 1 || count > NVR_SENDERS)
    return PyErr_SetString(PyExc_ValueError, "a number of the port is out of range"), -1;
  p->senders = (int)count;
  for (Py_ssize_t i = 0; i < count; i++) {
    char *packed;
    Py_ssize_t len;
    if (PyBytes_AsStringAndSize(PyTuple_GetItem(senders, i), &packed, &len) < 0) return -1;
    if (parse_address(packed, len, 0, &p->from[i]) < 0) return -1;
  }
  return parse_end(punch, &p->punch) < 0 || parse_end(report, &p->report) < 0 ? -1 : 0;
}

PyObject *nvr_session_set_datagrams(PyObject *o, PyObject *args) {
  SessionObject *self = (SessionObject *)o;
  PyObject *given;
  nvr_port_setup ports[NVR_TRACKS];
  memset(ports, 0, sizeof ports);
  if (!nvr_engine_idle(self->engine) || !PyArg_ParseTuple(args, "O!", &PyTuple_Type, &given)) return NULL;
  Py_ssize_t count = PyTuple_Size(given);
  if (count < 1 || count > self->tracks) return PyErr_SetString(PyExc_ValueError, "one port a track"), NULL;
  if (self->added || self->datagrams)
    return PyErr_SetString(PyExc_ValueError, "the session has its sockets already"), NULL;
  for (Py_ssize_t i = 0; i < count; i++)
    if (parse_port(PyTuple_GetItem(given, i), self->tracks, &ports[i]) < 0) return NULL;
  self->datagrams = nvr_datagrams_new(self->link.session, ports, (int)count);
  if (!self->datagrams) return PyErr_NoMemory();
  Py_RETURN_NONE;
}
