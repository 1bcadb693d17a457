/* nvr._native: the hot path. Kernels stand in files without Python.h; py_*.c bind them. */
#include "nvr_native.h"

static int exec_module(PyObject *module) {
  if (nvr_add_blend(module) < 0) return -1;
  if (nvr_add_checksum(module) < 0) return -1;
  if (nvr_add_confine(module) < 0) return -1;
  if (nvr_add_disk(module) < 0) return -1;
  if (nvr_add_ingest(module) < 0) return -1;
  if (nvr_add_paint(module) < 0) return -1;
  if (nvr_add_ps(module) < 0) return -1;
  if (nvr_add_relay(module) < 0) return -1;
  if (nvr_add_scene(module) < 0) return -1;
  if (nvr_add_sound(module) < 0) return -1;
  if (nvr_add_sps(module) < 0) return -1;
  return 0;
}

static PyModuleDef_Slot slots[] = {
    {Py_mod_exec, (void *)exec_module},
    {0, NULL},
};

static struct PyModuleDef definition = {
    PyModuleDef_HEAD_INIT,
    .m_name = "nvr._native",
    .m_doc = "Compiled kernels of the record and relay path.",
    .m_slots = slots,
};

PyMODINIT_FUNC PyInit__native(void) { return PyModuleDef_Init(&definition); }
