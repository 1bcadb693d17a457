/* Captions and masks for Python. */
#include "blend.h"
#include "mosaic.h"
#include "nvr_native.h"

#define MOST_PX 16384

/* True if `rows` rows of `width` bytes, `stride` apart, fit in `len` bytes.
 * Written as a division so that it cannot overflow on 32-bit ARM. */
static int fits(Py_ssize_t len, Py_ssize_t stride, Py_ssize_t width, Py_ssize_t rows) {
  if (rows == 0 || width == 0) return 1;
  return len >= width && (len - width) / stride >= rows - 1;
}

PyDoc_STRVAR(blend_doc,
"blend(plane, stride, size, cover, grey, runs, at, /)\n--\n\n"
"Blend runs of grey levels into a plane through their coverage, in place; what lies outside is cut off.\n\n"
"plane: writable contiguous buffer of `size` (width, height) pixels, rows `stride` bytes apart.\n"
"cover, grey: contiguous buffers of the bytes of all runs, one run after the other; a `grey` of one\n"
"byte is the level of all of them.\n"
"runs: three native int32 a run: row, first column, length.\n"
"at: (x, y) in the plane of column and row 0; may be negative.\n"
"Raises ValueError if a buffer is short or a number out of range, BufferError if the plane\n"
"is read-only or not contiguous. Releases the GIL. The buffers must not overlap.");

static PyObject *blend(PyObject *module, PyObject *args) {
  Py_buffer dst, cover, grey, runs;
  Py_ssize_t stride;
  int width, height, x, y, ok;
  if (!PyArg_ParseTuple(args, "w*n(ii)y*y*y*(ii)", &dst, &stride, &width, &height, &cover, &grey, &runs, &x, &y))
    return NULL;
  ok = width >= 0 && width <= MOST_PX && height >= 0 && height <= MOST_PX && stride >= 1 && stride >= width &&
       fits(dst.len, stride, width, height) && (grey.len == 1 || grey.len >= cover.len) && runs.len % 12 == 0;
  if (ok) {
    nvr_plane plane = {dst.buf, (size_t)stride, width, height};
    const uint8_t *greys = grey.buf;
    nvr_strip strip = {cover.buf, grey.len == 1 ? NULL : greys, runs.buf, (size_t)cover.len, (size_t)runs.len / 12,
                       grey.len == 1 ? greys[0] : 0};
    Py_BEGIN_ALLOW_THREADS
    nvr_blend(&plane, &strip, x, y);
    Py_END_ALLOW_THREADS
  } else {
    PyErr_SetString(PyExc_ValueError, "a buffer is too small for its shape, or a size is out of range");
  }
  PyBuffer_Release(&dst);
  PyBuffer_Release(&cover);
  PyBuffer_Release(&grey);
  PyBuffer_Release(&runs);
  if (!ok) return NULL;
  Py_RETURN_NONE;
}

PyDoc_STRVAR(burn_doc,
"burn(y, y_stride, size, chroma, chroma_stride, luma, colour, at, /)\n--\n\n"
"Blend into all planes of a picture at once, as `blend` does into one.\n\n"
"chroma: the two planes of yuv420p, or the one of NV12, whose rows are as wide as luma's.\n"
"luma, colour: strips for the luma plane and for each chroma plane, at most 16, blended in order;\n"
"each (cover, grey, runs).\n"
"at: (x, y) in luma pixels, both even; chroma's is half of it, but NV12's x.\n"
"Raises as `blend`, and TypeError.");

#define MOST_STRIPS 16

/* Strips, and the buffers they lie in. */
typedef struct {
  Py_buffer held[MOST_STRIPS][3];
  nvr_strip strips[MOST_STRIPS];
  Py_ssize_t count;
} strip_list;

static int strip_of(PyObject *parts, Py_buffer held[3], nvr_strip *strip) {
  if (!PyTuple_Check(parts) || PyTuple_Size(parts) != 3) {
    PyErr_SetString(PyExc_TypeError, "cover, grey and runs are wanted");
    return 0;
  }
  for (int i = 0; i < 3; i++)
    if (PyObject_GetBuffer(PyTuple_GetItem(parts, i), &held[i], PyBUF_SIMPLE)) return 0;
  if ((held[1].len != 1 && held[1].len < held[0].len) || held[2].len % 12) {
    PyErr_SetString(PyExc_ValueError, "a buffer is too small for its shape, or a size is out of range");
    return 0;
  }
  const uint8_t *greys = held[1].buf;
  *strip = (nvr_strip){held[0].buf, held[1].len == 1 ? NULL : greys, held[2].buf, (size_t)held[0].len,
                       (size_t)held[2].len / 12, held[1].len == 1 ? greys[0] : 0};
  return 1;
}

static int strips_of(PyObject *given, strip_list *list) {
  Py_ssize_t count = PyTuple_Size(given);
  if (count > MOST_STRIPS) {
    PyErr_SetString(PyExc_ValueError, "there are too many strips");
    return 0;
  }
  for (Py_ssize_t i = 0; i < count; i++) {
    for (int j = 0; j < 3; j++) list->held[i][j].obj = NULL;
    list->count = i + 1;
    if (!strip_of(PyTuple_GetItem(given, i), list->held[i], &list->strips[i])) return 0;
  }
  return 1;
}

static void let_go(strip_list *list) {
  for (Py_ssize_t i = 0; i < list->count; i++)
    for (int j = 0; j < 3; j++)
      if (list->held[i][j].obj) PyBuffer_Release(&list->held[i][j]);
}

static PyObject *burn(PyObject *module, PyObject *args) {
  Py_buffer planes[3];
  PyObject *chroma, *luma, *colour;
  Py_ssize_t stride, chroma_stride, count;
  int width, height, x, y, ok = 0;
  strip_list light, hue;
  light.count = hue.count = 0;
  for (int i = 0; i < 3; i++) planes[i].obj = NULL;
  if (!PyArg_ParseTuple(args, "w*n(ii)O!nO!O!(ii)", &planes[0], &stride, &width, &height, &PyTuple_Type, &chroma,
                        &chroma_stride, &PyTuple_Type, &luma, &PyTuple_Type, &colour, &x, &y))
    return NULL;
  count = PyTuple_Size(chroma);
  if (count != 1 && count != 2) {
    PyErr_SetString(PyExc_ValueError, "one or two chroma planes are wanted");
    goto done;
  }
  for (Py_ssize_t i = 0; i < count; i++)
    if (PyObject_GetBuffer(PyTuple_GetItem(chroma, i), &planes[1 + i], PyBUF_WRITABLE)) goto done;
  if (!strips_of(luma, &light) || !strips_of(colour, &hue)) goto done;
  int wide = count == 1 ? width : width / 2;
  ok = width >= 0 && width <= MOST_PX && height >= 0 && height <= MOST_PX && stride >= 1 && stride >= width &&
       chroma_stride >= 1 && chroma_stride >= wide && fits(planes[0].len, stride, width, height);
  for (Py_ssize_t i = 0; i < count; i++) ok = ok && fits(planes[1 + i].len, chroma_stride, wide, height / 2);
  if (!ok) {
    PyErr_SetString(PyExc_ValueError, "a buffer is too small for its shape, or a size is out of range");
    goto done;
  }
  nvr_plane first = {planes[0].buf, (size_t)stride, width, height};
  Py_BEGIN_ALLOW_THREADS
  for (Py_ssize_t i = 0; i < light.count; i++) nvr_blend(&first, &light.strips[i], x, y);
  for (Py_ssize_t i = 0; i < count; i++) {
    nvr_plane plane = {planes[1 + i].buf, (size_t)chroma_stride, wide, height / 2};
    for (Py_ssize_t j = 0; j < hue.count; j++) nvr_blend(&plane, &hue.strips[j], count == 1 ? x : x / 2, y / 2);
  }
  Py_END_ALLOW_THREADS
done:
  for (int i = 0; i < 3; i++)
    if (planes[i].obj) PyBuffer_Release(&planes[i]);
  let_go(&light);
  let_go(&hue);
  if (!ok) return NULL;
  Py_RETURN_NONE;
}

PyDoc_STRVAR(mosaic_doc,
"mosaic(plane, stride, size, cover, grey, runs, channels, block, /)\n--\n\n"
"Lay a mosaic over what runs cover, in place: each block becomes its mean.\n\n"
"Buffers as of `blend`, runs from top to bottom; `grey` is not looked at. channels: 2 for NV12's\n"
"pairs, else 1. block: (width, height) of a block, in pixels of the plane.\n"
"Raises as `blend`.");

static PyObject *mosaic(PyObject *module, PyObject *args) {
  Py_buffer dst, cover, grey, runs;
  Py_ssize_t stride;
  int width, height, channels, wide, high, ok;
  if (!PyArg_ParseTuple(args, "w*n(ii)y*y*y*i(ii)", &dst, &stride, &width, &height, &cover, &grey, &runs, &channels,
                        &wide, &high))
    return NULL;
  ok = width >= 0 && width <= MOST_PX && height >= 0 && height <= MOST_PX && stride >= 1 && stride >= width &&
       fits(dst.len, stride, width, height) && runs.len % 12 == 0 && (channels == 1 || channels == 2) && wide >= 1 &&
       wide <= MOST_PX && high >= 1 && high <= MOST_PX;
  if (ok) {
    nvr_plane plane = {dst.buf, (size_t)stride, width, height};
    nvr_strip strip = {cover.buf, NULL, runs.buf, (size_t)cover.len, (size_t)runs.len / 12, 0};
    Py_BEGIN_ALLOW_THREADS
    ok = nvr_mosaic(&plane, &strip, channels, wide, high);
    Py_END_ALLOW_THREADS
  }
  if (!ok) PyErr_SetString(PyExc_ValueError, "a buffer is too small for its shape, or a size is out of range");
  PyBuffer_Release(&dst);
  PyBuffer_Release(&cover);
  PyBuffer_Release(&grey);
  PyBuffer_Release(&runs);
  if (!ok) return NULL;
  Py_RETURN_NONE;
}

static PyMethodDef methods[] = {
    {"blend", blend, METH_VARARGS, blend_doc},
    {"burn", burn, METH_VARARGS, burn_doc},
    {"mosaic", mosaic, METH_VARARGS, mosaic_doc},
    {NULL, NULL, 0, NULL},
};

int nvr_add_blend(PyObject *module) { return PyModule_AddFunctions(module, methods); }
