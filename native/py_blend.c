/* Caption blending for Python. */
#include "blend.h"
#include "nvr_native.h"

#define MOST_PX 16384

/* True if `rows` rows of `width` bytes, `stride` apart, fit in `len` bytes.
 * Written as a division so that it cannot overflow on 32-bit ARM. */
static int fits(Py_ssize_t len, Py_ssize_t stride, Py_ssize_t width, Py_ssize_t rows) {
  if (rows == 0 || width == 0) return 1;
  return len >= width && (len - width) / stride >= rows - 1;
}

PyDoc_STRVAR(blend_doc,
"blend(plane, stride, size, mask, grey, spans, mask_size, at, /)\n--\n\n"
"Blend grey levels into a plane through a coverage mask, in place; what lies outside is cut off.\n\n"
"plane: writable contiguous buffer of `size` (width, height) pixels, rows `stride` bytes apart.\n"
"mask, grey: contiguous buffers of `mask_size` (width, height) bytes without padding.\n"
"spans: two native int32 a mask row: first column with coverage, one after the last.\n"
"at: (x, y) of the mask's corner in the plane; may be negative.\n"
"Raises ValueError if a buffer is short or a number out of range, BufferError if the plane\n"
"is read-only or not contiguous. Releases the GIL. The buffers must not overlap.");

static PyObject *blend(PyObject *module, PyObject *args) {
  Py_buffer dst, cover, grey, spans;
  Py_ssize_t stride;
  int width, height, mask_width, mask_height, x, y, ok;
  if (!PyArg_ParseTuple(args, "w*n(ii)y*y*y*(ii)(ii)", &dst, &stride, &width, &height, &cover, &grey, &spans,
                        &mask_width, &mask_height, &x, &y))
    return NULL;
  ok = width >= 0 && width <= MOST_PX && height >= 0 && height <= MOST_PX && stride >= 1 && stride >= width &&
       mask_width >= 0 && mask_width <= MOST_PX && mask_height >= 0 && mask_height <= MOST_PX &&
       fits(dst.len, stride, width, height) && cover.len >= (Py_ssize_t)mask_width * mask_height &&
       grey.len >= (Py_ssize_t)mask_width * mask_height && spans.len >= (Py_ssize_t)mask_height * 8;
  if (ok) {
    nvr_plane plane = {dst.buf, (size_t)stride, width, height};
    nvr_mask mask = {cover.buf, grey.buf, spans.buf, mask_width, mask_height};
    Py_BEGIN_ALLOW_THREADS
    nvr_blend(&plane, &mask, x, y);
    Py_END_ALLOW_THREADS
  } else {
    PyErr_SetString(PyExc_ValueError, "a buffer is too small for its shape, or a size is out of range");
  }
  PyBuffer_Release(&dst);
  PyBuffer_Release(&cover);
  PyBuffer_Release(&grey);
  PyBuffer_Release(&spans);
  if (!ok) return NULL;
  Py_RETURN_NONE;
}

static PyMethodDef methods[] = {
    {"blend", blend, METH_VARARGS, blend_doc},
    {NULL, NULL, 0, NULL},
};

int nvr_add_blend(PyObject *module) { return PyModule_AddFunctions(module, methods); }
