/* What the binding files share: each adds its functions and types to the one module. */
#ifndef NVR_NATIVE_H
#define NVR_NATIVE_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>

int nvr_add_blend(PyObject *module);
int nvr_add_checksum(PyObject *module);
int nvr_add_confine(PyObject *module);
int nvr_add_disk(PyObject *module);
int nvr_add_ingest(PyObject *module);
int nvr_add_paint(PyObject *module);
int nvr_add_ps(PyObject *module);
int nvr_add_relay(PyObject *module);
int nvr_add_scene(PyObject *module);

/* The relay inside a Relay object; NULL with TypeError if it is not one. Keep a reference to
 * the object for as long as the pointer is used. */
struct nvr_relay;
struct nvr_relay *nvr_relay_from(PyObject *object);
/* The same of a PsMuxer. */
struct nvr_ps;
struct nvr_ps *nvr_ps_from(PyObject *object);
int nvr_add_sound(PyObject *module);
int nvr_add_sps(PyObject *module);

#endif
