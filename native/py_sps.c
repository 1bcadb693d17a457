/* Sequence parameter sets, and configurations of LATM, for Python. */
#include "latm.h"
#include "nvr_native.h"
#include "sps.h"

PyDoc_STRVAR(h264_doc,
"h264_sps(nal, /)\n--\n\n"
"What an H.264 SPS says: (profile, constraints, level, chroma_format, luma_bits, chroma_bits,\n"
"width_px, height_px, reorder, frame_90k, aspect_wide, aspect_high); reorder is -1 if it does not say.\n\n"
"Raises:\n    ValueError: Not a usable SPS.");

PyDoc_STRVAR(h265_doc,
"h265_sps(nal, /)\n--\n\n"
"What an H.265 SPS says: (profile, space_and_tier, level, compatibility, constraints,\n"
"chroma_format, luma_bits, chroma_bits, width_px, height_px, reorder, frame_90k,\n"
"temporal_layers, temporal_nested, aspect_wide, aspect_high).\n\n"
"Raises:\n    ValueError: Not a usable SPS.");

static PyObject *h264_sps(PyObject *module, PyObject *args) {
  Py_buffer nal;
  nvr_sps s;
  if (!PyArg_ParseTuple(args, "y*", &nal)) return NULL;
  int bad = nvr_h264_sps(nal.buf, (size_t)nal.len, &s);
  PyBuffer_Release(&nal);
  if (bad) return PyErr_SetString(PyExc_ValueError, "not a usable H.264 SPS"), NULL;
  return Py_BuildValue("(iiiiiiIIiIII)", s.profile, s.compatibility, s.level, s.chroma_format, s.luma_bits,
                       s.chroma_bits, s.width, s.height, s.reorder, s.frame_90k, s.aspect_wide, s.aspect_high);
}

static PyObject *h265_sps(PyObject *module, PyObject *args) {
  Py_buffer nal;
  nvr_sps s;
  if (!PyArg_ParseTuple(args, "y*", &nal)) return NULL;
  int bad = nvr_h265_sps(nal.buf, (size_t)nal.len, &s);
  PyBuffer_Release(&nal);
  if (bad) return PyErr_SetString(PyExc_ValueError, "not a usable H.265 SPS"), NULL;
  return Py_BuildValue("(iiiIy#iiiIIiIiiII)", s.profile, s.profile_space, s.level, s.compatible,
                       (const char *)s.constraints, (Py_ssize_t)6, s.chroma_format, s.luma_bits,
                       s.chroma_bits, s.width, s.height, s.reorder, s.frame_90k, s.temporal_layers,
                       s.temporal_nested, s.aspect_wide, s.aspect_high);
}

PyDoc_STRVAR(latm_doc,
"latm_config(mux, /)\n--\n\n"
"The AudioSpecificConfig in a StreamMuxConfig of LATM.\n\n"
"Raises:\n    ValueError: It is cut off, or not one program of AAC.");

static PyObject *latm_config(PyObject *module, PyObject *args) {
  Py_buffer given;
  nvr_mux mux = {0};
  if (!PyArg_ParseTuple(args, "y*", &given)) return NULL;
  nvr_bits bits = {given.buf, 0, (size_t)given.len * 8, 0};
  int bad = nvr_mux_read(&mux, &bits);
  PyBuffer_Release(&given);
  if (bad) return PyErr_SetString(PyExc_ValueError, "not a usable StreamMuxConfig"), NULL;
  return PyBytes_FromStringAndSize((const char *)mux.config, mux.config_len);
}

static PyMethodDef methods[] = {
    {"latm_config", latm_config, METH_VARARGS, latm_doc},
    {"h264_sps", h264_sps, METH_VARARGS, h264_doc},
    {"h265_sps", h265_sps, METH_VARARGS, h265_doc},
    {NULL, NULL, 0, NULL},
};

int nvr_add_sps(PyObject *module) { return PyModule_AddFunctions(module, methods); }
