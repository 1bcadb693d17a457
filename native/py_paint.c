/* Painting of scenes for Python. */
#include <math.h>

#include "nvr_native.h"
#include "paint.h"

#define MOST_PX 8192

static int fits(Py_ssize_t len, Py_ssize_t stride, Py_ssize_t width, Py_ssize_t rows) {
  if (rows == 0 || width == 0) return 1;
  return stride >= width && len >= width && (len - width) / stride >= rows - 1;
}

PyDoc_STRVAR(paint_doc,
"paint(y, u, v, strides, size, matrix, near, points, contours, /)\n--\n\n"
"Paint the flat polygons of a scene into a yuv420p picture, in place, in order.\n\n"
"y, u, v: writable contiguous planes; strides: (luma, chroma) bytes; size: (width, height).\n"
"matrix: nine numbers, row by row: a point p falls on (m0 p / m2 p, m1 p / m2 p).\n"
"near: what has m2 p below this is cut off, > 0.\n"
"points: contiguous float32, three a point. contours: 16 bytes each: int32 first point, int32\n"
"count, uint32 flags (1 the next contour is part of the same shape, 2 one-sided), bytes y u v\n"
"alpha (those of a shape's last contour count).\n"
"Returns the number of shapes that touched the picture. Raises ValueError if a buffer is short or\n"
"a number out of range. Releases the GIL.");

static PyObject *paint(PyObject *module, PyObject *args) {
  Py_buffer y, u, v, points, contours;
  Py_ssize_t luma_stride, chroma_stride;
  int width, height, ok;
  double m[9], near;
  long drawn = 0;
  if (!PyArg_ParseTuple(args, "w*w*w*(nn)(ii)(ddddddddd)dy*y*", &y, &u, &v, &luma_stride, &chroma_stride, &width,
                        &height, m, m + 1, m + 2, m + 3, m + 4, m + 5, m + 6, m + 7, m + 8, &near, &points, &contours))
    return NULL;
  ok = width >= 1 && width <= MOST_PX && height >= 1 && height <= MOST_PX && near > 0;
  for (int i = 0; i < 9; i++) ok = ok && isfinite(m[i]);
  if (ok) {
    Py_ssize_t cw = (width + 1) / 2, ch = (height + 1) / 2;
    ok = fits(y.len, luma_stride, width, height) && fits(u.len, chroma_stride, cw, ch) &&
         fits(v.len, chroma_stride, cw, ch);
  }
  if (ok) {
    nvr_picture picture = {{y.buf, u.buf, v.buf},
                           {(size_t)luma_stride, (size_t)chroma_stride, (size_t)chroma_stride},
                           width, height};
    Py_BEGIN_ALLOW_THREADS
    drawn = nvr_paint(&picture, m, near, points.buf, (size_t)points.len / 12, contours.buf, (size_t)contours.len / 16);
    Py_END_ALLOW_THREADS
  } else {
    PyErr_SetString(PyExc_ValueError, "a plane is too small for the picture, or a number is out of range");
  }
  PyBuffer_Release(&y);
  PyBuffer_Release(&u);
  PyBuffer_Release(&v);
  PyBuffer_Release(&points);
  PyBuffer_Release(&contours);
  if (!ok) return NULL;
  if (drawn < 0) return PyErr_NoMemory();
  return PyLong_FromLong(drawn);
}

PyDoc_STRVAR(blur_doc,
"blur(plane, stride, size, radius, /)\n--\n\n"
"Blur a plane in place as a lens out of focus does, about `radius` pixels wide (0-127).\n\n"
"plane: writable contiguous buffer; size: (width, height). Raises ValueError if it is too small.\n"
"Releases the GIL.");

static PyObject *blur(PyObject *module, PyObject *args) {
  Py_buffer plane;
  Py_ssize_t stride;
  int width, height, radius, done = 0, ok;
  if (!PyArg_ParseTuple(args, "w*n(ii)i", &plane, &stride, &width, &height, &radius)) return NULL;
  ok = width >= 1 && width <= MOST_PX && height >= 1 && height <= MOST_PX && radius >= 0 && radius <= 127 &&
       fits(plane.len, stride, width, height);
  if (ok) {
    Py_BEGIN_ALLOW_THREADS
    done = nvr_blur(plane.buf, (size_t)stride, width, height, radius);
    Py_END_ALLOW_THREADS
  } else {
    PyErr_SetString(PyExc_ValueError, "the plane is too small for its size, or a number is out of range");
  }
  PyBuffer_Release(&plane);
  if (!ok) return NULL;
  if (done < 0) return PyErr_NoMemory();
  Py_RETURN_NONE;
}

static PyMethodDef methods[] = {
    {"paint", paint, METH_VARARGS, paint_doc},
    {"blur", blur, METH_VARARGS, blur_doc},
    {NULL, NULL, 0, NULL},
};

int nvr_add_paint(PyObject *module) { return PyModule_AddFunctions(module, methods); }
