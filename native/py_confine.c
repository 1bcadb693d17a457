/* Giving up rights, for the process that decodes foreign bytes. */
#include "confine.h"
#include "nvr_native.h"

#include <errno.h>

PyDoc_STRVAR(confine_doc,
"confine()\n--\n\n"
"Give up, for all threads and for good, whatever is not reading, writing and computing.\n\n"
"No file, socket or process can be opened after this, nothing new run, no memory made executable:\n"
"such calls fail with EPERM. The process is killed when the thread that started it ends.\n\n"
"Raises:\n    OSError: The kernel has no such filter. Linux on x86-64 and aarch64 only: ENOSYS elsewhere.");

static PyObject *confine(PyObject *module, PyObject *unused) {
  int failed = nvr_confine();
  if (failed) {
    errno = failed;
    return PyErr_SetFromErrno(PyExc_OSError);
  }
  Py_RETURN_NONE;
}

static PyMethodDef methods[] = {
    {"confine", confine, METH_NOARGS, confine_doc},
    {NULL, NULL, 0, NULL},
};

int nvr_add_confine(PyObject *module) { return PyModule_AddFunctions(module, methods); }
