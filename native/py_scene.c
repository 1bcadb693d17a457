/* Scenes for Python. */
#include "nvr_native.h"
#include "scene.h"

typedef struct {
  PyObject_HEAD
  nvr_scene *scene;
} Scene;

PyDoc_STRVAR(scene_doc,
"Scene()\n--\n\n"
"What moves in a camera's picture and whether it still is a good one, on a grid of 80 x 45 cells.\n"
"Used by one thread at a time.");

static PyObject *scene_new(PyTypeObject *type, PyObject *args, PyObject *kwargs) {
  if (!PyArg_ParseTuple(args, "")) return NULL;
  allocfunc alloc = (allocfunc)PyType_GetSlot(type, Py_tp_alloc);
  Scene *self = (Scene *)alloc(type, 0);
  if (!self) return NULL;
  self->scene = nvr_scene_new();
  if (!self->scene) {
    Py_DECREF(self);
    return PyErr_NoMemory();
  }
  return (PyObject *)self;
}

static void scene_dealloc(PyObject *object) {
  Scene *self = (Scene *)object;
  PyTypeObject *type = Py_TYPE(object);
  nvr_scene_free(self->scene);
  freefunc release = (freefunc)PyType_GetSlot(type, Py_tp_free);
  release(object);
  Py_DECREF(type);
}

PyDoc_STRVAR(mask_doc,
"mask(sense, zones, /)\n--\n\n"
"Say what to look for: 3600 bytes each, row by row: sensitivity 1-10 or 0 for not at all, and\n"
"the zones the cell belongs to, bit by bit. Raises ValueError for other lengths.");

static PyObject *scene_mask(PyObject *object, PyObject *args) {
  Py_buffer sense, zones;
  if (!PyArg_ParseTuple(args, "y*y*", &sense, &zones)) return NULL;
  int ok = sense.len == NVR_CELLS && zones.len == NVR_CELLS;
  if (ok) nvr_scene_mask(((Scene *)object)->scene, sense.buf, zones.buf);
  else PyErr_SetString(PyExc_ValueError, "a mask has 3600 cells");
  PyBuffer_Release(&sense);
  PyBuffer_Release(&zones);
  if (!ok) return NULL;
  Py_RETURN_NONE;
}

PyDoc_STRVAR(look_doc,
"look(luma, stride, size, dt_s, flags, /)\n--\n\n"
"Look at a picture.\n\n"
"luma: contiguous plane; stride: bytes a row; size: (width, height), 160 x 90 to 8192 x 8192.\n"
"dt_s: seconds since the last one. flags: 1 learn that this is how it should be, 2 the camera\n"
"itself moves. Returns the eight numbers of the zones and the other 17, as nvr_seen has them. Raises ValueError. Releases the GIL.");

static PyObject *scene_look(PyObject *object, PyObject *args) {
  Py_buffer luma;
  Py_ssize_t stride;
  int width, height, flags;
  float dt_s;
  nvr_seen seen;
  if (!PyArg_ParseTuple(args, "y*n(ii)fi", &luma, &stride, &width, &height, &dt_s, &flags)) return NULL;
  int ok = width >= 160 && width <= 8192 && height >= 90 && height <= 8192 && stride >= width &&
           luma.len >= width && (luma.len - width) / stride >= height - 1;
  if (ok) {
    Py_BEGIN_ALLOW_THREADS
    nvr_scene_look(((Scene *)object)->scene, luma.buf, (size_t)stride, width, height, dt_s, flags, &seen);
    Py_END_ALLOW_THREADS
  } else {
    PyErr_SetString(PyExc_ValueError, "the plane is too small for its size, or the size is out of range");
  }
  PyBuffer_Release(&luma);
  if (!ok) return NULL;
  const int32_t *z = seen.zone;
  return Py_BuildValue("((iiiiiiii)iiiiiiiiiiiiiiiii)", z[0], z[1], z[2], z[3], z[4], z[5], z[6], z[7], seen.moving,
                       seen.changed, seen.step, seen.mean, seen.low, seen.high, seen.flat, seen.same, seen.edged, seen.textured,
                       seen.sharp, seen.lost, seen.like, seen.dx, seen.dy, seen.shifted, seen.learned);
}

PyDoc_STRVAR(map_doc, "map()\n--\n\nCells that moved in the last picture: 3600 bytes, 1 or 0, row by row.");

static PyObject *scene_map(PyObject *object, PyObject *unused) {
  return PyBytes_FromStringAndSize((const char *)nvr_scene_map(((Scene *)object)->scene), NVR_CELLS);
}

PyDoc_STRVAR(keep_doc, "keep()\n--\n\nWhat was learned of how the picture should be, to be given to `recall`.");

static PyObject *scene_keep(PyObject *object, PyObject *unused) {
  static uint8_t memory[NVR_SCENE_MEMORY]; /* under the GIL */
  nvr_scene_keep(((Scene *)object)->scene, memory);
  return PyBytes_FromStringAndSize((const char *)memory, NVR_SCENE_MEMORY);
}

PyDoc_STRVAR(recall_doc, "recall(memory, /)\n--\n\nTake back what `keep` gave. Raises ValueError if it is none.");

static PyObject *scene_recall(PyObject *object, PyObject *args) {
  Py_buffer memory;
  if (!PyArg_ParseTuple(args, "y*", &memory)) return NULL;
  int bad = memory.len != NVR_SCENE_MEMORY || nvr_scene_recall(((Scene *)object)->scene, memory.buf);
  PyBuffer_Release(&memory);
  if (bad) return PyErr_SetString(PyExc_ValueError, "no memory of a scene"), NULL;
  Py_RETURN_NONE;
}

PyDoc_STRVAR(forget_doc, "forget()\n--\n\nForget how the picture should be: from now on it is right.");

static PyObject *scene_forget(PyObject *object, PyObject *unused) {
  nvr_scene_forget(((Scene *)object)->scene);
  Py_RETURN_NONE;
}

static PyMethodDef methods[] = {
    {"mask", scene_mask, METH_VARARGS, mask_doc},
    {"look", scene_look, METH_VARARGS, look_doc},
    {"map", scene_map, METH_NOARGS, map_doc},
    {"keep", scene_keep, METH_NOARGS, keep_doc},
    {"recall", scene_recall, METH_VARARGS, recall_doc},
    {"forget", scene_forget, METH_NOARGS, forget_doc},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot slots[] = {
    {Py_tp_new, scene_new},
    {Py_tp_dealloc, scene_dealloc},
    {Py_tp_methods, methods},
    {Py_tp_doc, (void *)scene_doc},
    {0, NULL},
};

static PyType_Spec spec = {
    .name = "nvr._native.Scene",
    .basicsize = sizeof(Scene),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = slots,
};

int nvr_add_scene(PyObject *module) {
  PyObject *type = PyType_FromSpec(&spec);
  if (!type) return -1;
  int bad = PyModule_AddObjectRef(module, "Scene", type);
  Py_DECREF(type);
  return bad;
}
