/* Program streams for Python. */
#include "nvr_native.h"

#include <string.h>

#include "ps.h"

typedef struct {
  PyObject_HEAD
  nvr_ps *ps;
} PsObject;

static PyTypeObject *ps_type;

nvr_ps *nvr_ps_from(PyObject *object) {
  if (!ps_type || !PyObject_TypeCheck(object, ps_type)) {
    PyErr_SetString(PyExc_TypeError, "expected a PsMuxer");
    return NULL;
  }
  return ((PsObject *)object)->ps;
}

PyDoc_STRVAR(ps_doc,
"PsMuxer(tracks, rate, lead, /)\n--\n\n"
"Makes packs of a program stream from access units.\n\n"
"tracks: for each (kind, stream_id, stream_type, adts, sets); kind 0 left out, 1 sound as it is, 2 AAC,\n"
"3 H.264, 4 H.265. adts: a header of seven bytes, of AAC. sets: parameter sets behind start codes.\n"
"rate: bound in units of 400 bits a second. lead: 90 kHz ticks before its decode time a unit is sent.\n"
"Raises ValueError for a number out of range.");

static int parse_track(PyObject *item, nvr_ps_track *t) {
  const char *adts, *sets;
  Py_ssize_t adts_len, sets_len;
  unsigned int id, type;
  if (!PyTuple_Check(item)) return PyErr_SetString(PyExc_TypeError, "a track is a tuple"), -1;
  if (!PyArg_ParseTuple(item, "iIIy#y#", &t->kind, &id, &type, &adts, &adts_len, &sets, &sets_len)) return -1;
  if (t->kind < NVR_PS_LEFT_OUT || t->kind > NVR_PS_H265 || id > 255 || type > 255 ||
      (t->kind != NVR_PS_LEFT_OUT && id < 0xC0) || (t->kind == NVR_PS_AAC && adts_len != 7))
    return PyErr_SetString(PyExc_ValueError, "a number of the track is out of range"), -1;
  t->stream_id = (uint8_t)id;
  t->stream_type = (uint8_t)type;
  if (adts_len == 7) memcpy(t->adts, adts, 7);
  t->sets = (const uint8_t *)sets;
  t->sets_len = (size_t)sets_len;
  return 0;
}

static PyObject *ps_new(PyTypeObject *type, PyObject *args, PyObject *kwargs) {
  PyObject *given;
  unsigned int rate;
  long long lead;
  nvr_ps_track tracks[NVR_PS_TRACKS];
  (void)kwargs;
  memset(tracks, 0, sizeof tracks);
  if (!PyArg_ParseTuple(args, "O!IL", &PyTuple_Type, &given, &rate, &lead)) return NULL;
  Py_ssize_t count = PyTuple_Size(given);
  if (count < 1 || count > NVR_PS_TRACKS || !rate || rate >= 1u << 22 || lead < 0 || lead > 1ll << 40)
    return PyErr_SetString(PyExc_ValueError, "one to eight tracks, and a rate and a lead in range"), NULL;
  for (Py_ssize_t i = 0; i < count; i++)
    if (parse_track(PyTuple_GetItem(given, i), &tracks[i]) < 0) return NULL;
  allocfunc alloc = (allocfunc)PyType_GetSlot(type, Py_tp_alloc);
  PsObject *self = (PsObject *)alloc(type, 0);
  if (!self) return NULL;
  self->ps = nvr_ps_new(tracks, (int)count, rate, lead);
  if (!self->ps) return Py_DECREF(self), PyErr_NoMemory();
  return (PyObject *)self;
}

static void ps_dealloc(PsObject *self) {
  PyTypeObject *type = Py_TYPE((PyObject *)self);
  nvr_ps_free(self->ps);
  ((freefunc)PyType_GetSlot(type, Py_tp_free))(self);
  Py_DECREF(type);
}

static void append(void *to, const uint8_t *p, size_t len) {
  memcpy(*(uint8_t **)to, p, len);
  *(uint8_t **)to += len;
}

PyDoc_STRVAR(pack_doc,
"pack(track, data, dts, pts, starts, /)\n--\n\n"
"Return an access unit as a pack; nothing for one that is not sent. Times in 90 kHz ticks.");

static PyObject *ps_pack(PsObject *self, PyObject *args) {
  int track, starts;
  long long dts, pts;
  Py_buffer data;
  if (!PyArg_ParseTuple(args, "iy*LLp", &track, &data, &dts, &pts, &starts)) return NULL;
  nvr_ps_unit unit;
  size_t len = nvr_ps_measure(self->ps, &unit, track, data.buf, (size_t)data.len, dts, pts, starts);
  PyObject *pack = PyBytes_FromStringAndSize(NULL, (Py_ssize_t)len);
  if (pack && len) {
    uint8_t *at = (uint8_t *)PyBytes_AsString(pack);
    nvr_ps_write(self->ps, &unit, append, &at);
  }
  PyBuffer_Release(&data);
  return pack;
}

static PyMethodDef methods[] = {
    {"pack", (PyCFunction)ps_pack, METH_VARARGS, pack_doc},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot slots[] = {
    {Py_tp_doc, (void *)ps_doc},
    {Py_tp_new, (void *)ps_new},
    {Py_tp_dealloc, (void *)ps_dealloc},
    {Py_tp_methods, methods},
    {0, NULL},
};

static PyType_Spec spec = {"nvr._native.PsMuxer", sizeof(PsObject), 0, Py_TPFLAGS_DEFAULT, slots};

int nvr_add_ps(PyObject *module) {
  ps_type = (PyTypeObject *)PyType_FromModuleAndSpec(module, &spec, NULL);
  if (!ps_type) return -1;
  return PyModule_AddObjectRef(module, "PsMuxer", (PyObject *)ps_type);
}
