/* Checksums for Python. */
#include "crc32c.h"
#include "nvr_native.h"
#include "sha256.h"

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

PyDoc_STRVAR(sums_doc,
"sums(messages, /)\n--\n\n"
"CRC-32C and SHA-256 of each message, itself a sequence of buffers, as (int, bytes) in order.\n"
"Two messages are hashed in step. Releases the GIL.\n\n"
"Source: RFC 3720, appendix B.4; FIPS 180-4.");

/* What one call works on. `buffers` and `chunks` run over all messages in order. */
typedef struct {
  Py_buffer *buffers;
  nvr_chunk *chunks;
  nvr_message *messages;
  Py_ssize_t held, count;
} job;

static void job_drop(job *j) {
  while (j->held) PyBuffer_Release(&j->buffers[--j->held]);
  PyMem_Free(j->buffers);
  PyMem_Free(j->chunks);
  PyMem_Free(j->messages);
}

/* `lists` holds only lists, which nobody else can change. */
static int job_take(job *j, PyObject *lists) {
  Py_ssize_t all = 0, count = PyList_Size(lists);
  for (Py_ssize_t i = 0; i < count; i++) all += PyList_Size(PyList_GetItem(lists, i));
  j->buffers = PyMem_Calloc((size_t)all + 1, sizeof *j->buffers);
  j->chunks = PyMem_Calloc((size_t)all + 1, sizeof *j->chunks);
  j->messages = PyMem_Calloc((size_t)count + 1, sizeof *j->messages);
  if (!j->buffers || !j->chunks || !j->messages) {
    PyErr_NoMemory();
    return -1;
  }
  for (; j->count < count; j->count++) {
    PyObject *pieces = PyList_GetItem(lists, j->count);
    Py_ssize_t n = PyList_Size(pieces);
    j->messages[j->count].chunks = &j->chunks[j->held];
    j->messages[j->count].count = (size_t)n;
    for (Py_ssize_t k = 0; k < n; k++) {
      Py_buffer *b = &j->buffers[j->held];
      if (PyObject_GetBuffer(PyList_GetItem(pieces, k), b, PyBUF_SIMPLE) < 0) return -1;
      j->chunks[j->held++] = (nvr_chunk){b->buf, (size_t)b->len};
    }
  }
  return 0;
}

static PyObject *job_result(const job *j) {
  PyObject *out = PyList_New(0);
  for (Py_ssize_t i = 0; out && i < j->count; i++) {
    PyObject *pair = Py_BuildValue("(Iy#)", j->messages[i].crc, (const char *)j->messages[i].digest,
                                   (Py_ssize_t)NVR_SHA256_BYTES);
    if (!pair || PyList_Append(out, pair) < 0) Py_CLEAR(out);
    Py_XDECREF(pair);
  }
  return out;
}

static PyObject *sums(PyObject *module, PyObject *arg) {
  PyObject *out = NULL, *lists = PySequence_List(arg);
  job j = {0};
  if (!lists) return NULL;
  for (Py_ssize_t i = 0; i < PyList_Size(lists); i++) {
    PyObject *pieces = PySequence_List(PyList_GetItem(lists, i));
    if (!pieces || PyList_SetItem(lists, i, pieces) < 0) goto done;
  }
  if (job_take(&j, lists) < 0) goto done;
  Py_BEGIN_ALLOW_THREADS
  nvr_sums(j.messages, (size_t)j.count);
  Py_END_ALLOW_THREADS
  out = job_result(&j);
done:
  job_drop(&j);
  Py_DECREF(lists);
  return out;
}

PyDoc_STRVAR(sha256_fast_doc,
"sha256_fast()\n--\n\n"
"Whether `sums` uses SHA-256 instructions of this processor; without them hashlib is quicker.");

static PyObject *sha256_fast(PyObject *module, PyObject *unused) {
  return PyBool_FromLong(nvr_sha256_fast());
}

static PyMethodDef methods[] = {
    {"crc32c", crc32c, METH_VARARGS, crc32c_doc},
    {"sha256_fast", sha256_fast, METH_NOARGS, sha256_fast_doc},
    {"sums", sums, METH_O, sums_doc},
    {NULL, NULL, 0, NULL},
};

int nvr_add_checksum(PyObject *module) { return PyModule_AddFunctions(module, methods); }
