/* Checksums for Python. */
#include "crc32c.h"
#include "nvr_native.h"

PyDoc_STRVAR(crc32c_doc,
"crc32c(data, crc=0, /)\n--\n\n"
"CRC-32C of `data`, continuing `crc`. Releases the GIL for long buffers.\n\n"
"Source: RFC 3720, appendix B.4.");

static PyObject *crc32c(PyObject *module, PyObject *args) {
  Py_buffer data;
  unsigned int crc = 0;
  if (!PyArg_ParseTuple(args, "y*|I", &data, &crc)) return NULL;
  if (data.len > 4096) {
    Py_BEGIN_ALLOW_THREADS
    crc = nvr_crc32c(crc, data.buf, (size_t)data.len);
    Py_END_ALLOW_THREADS
  } else {
    crc = nvr_crc32c(crc, data.buf, (size_t)data.len);
  }
  PyBuffer_Release(&data);
  return PyLong_FromUnsignedLong(crc);
}

static PyMethodDef methods[] = {
    {"crc32c", crc32c, METH_VARARGS, crc32c_doc},
    {NULL, NULL, 0, NULL},
};

int nvr_add_checksum(PyObject *module) { return PyModule_AddFunctions(module, methods); }
