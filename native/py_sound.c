/* Telephone sound as FLAC, for Python. */
#include "nvr_native.h"

#include <stdlib.h>
#include <string.h>

#include "flac.h"
#include "g726.h"

enum { ALAW, MULAW, L16, G726, MOST_BYTES = 65536 };

static int16_t alaw(uint8_t v) { /* ITU-T G.711 table 1a */
  v ^= 0x55;
  int segment = v >> 4 & 7, t = (v & 15) << 4;
  t = segment ? (t + 0x108) << (segment - 1) : t + 8;
  return (int16_t)(v & 0x80 ? t : -t);
}

static int16_t mulaw(uint8_t v) { /* table 2a */
  v = (uint8_t)~v;
  int t = (((v & 15) << 3) + 0x84) << (v >> 4 & 7);
  return (int16_t)(v & 0x80 ? 0x84 - t : t - 0x84);
}

static size_t decode(int codec, unsigned width, nvr_g726 *state, const uint8_t *p, size_t len, int16_t *pcm) {
  if (codec == G726) {
    nvr_g726_decode(state, width, p, len, pcm);
    return nvr_g726_samples(len, width);
  }
  if (codec == L16) {
    for (size_t i = 0; i + 1 < len; i += 2) pcm[i / 2] = (int16_t)(p[i] << 8 | p[i + 1]);
    return len / 2;
  }
  for (size_t i = 0; i < len; i++) pcm[i] = codec == ALAW ? alaw(p[i]) : mulaw(p[i]);
  return len;
}

PyDoc_STRVAR(flac_doc,
"flac(codec, width, data, channels, rate_hz, first, state, /)\n--\n\n"
"One access unit of telephone sound as a FLAC frame.\n\n"
"codec: 0 A-law, 1 mu-law, 2 L16, 3 G.726. width: bits of a sample of G.726, 2-5. data: at most\n"
"65,536 bytes. channels: 1-8. first: number of its first sample. state: what the last call returned, to\n"
"go on with G.726; empty to begin.\n\n"
"Returns (frame, state). The frame is empty if data holds no sample of each channel.\n\n"
"Raises:\n    ValueError: A number is out of range, or the data too long.");

static PyObject *flac(PyObject *module, PyObject *args) {
  int codec;
  unsigned int width, channels, rate_hz;
  unsigned long long first;
  Py_buffer data, given;
  nvr_g726 state;
  if (!PyArg_ParseTuple(args, "iIy*IIKy*", &codec, &width, &data, &channels, &rate_hz, &first, &given)) return NULL;
  size_t len = (size_t)data.len;
  int right = codec >= ALAW && codec <= G726 && channels >= 1 && channels <= NVR_FLAC_CHANNELS &&
              len <= MOST_BYTES && (codec != G726 || (width >= 2 && width <= 5 && channels == 1)) &&
              (given.len == 0 || given.len == sizeof state);
  if (right && given.len)
    memcpy(&state, given.buf, sizeof state);
  else
    nvr_g726_begin(&state);
  PyBuffer_Release(&given);
  if (!right) {
    PyBuffer_Release(&data);
    return PyErr_SetString(PyExc_ValueError, "a number is out of range"), NULL;
  }
  int16_t *pcm = malloc((len * 4 + 1) * sizeof *pcm);
  uint8_t *frame = malloc(nvr_flac_most(len * 4 + 1, channels));
  size_t size = 0;
  if (pcm && frame) {
    Py_BEGIN_ALLOW_THREADS
    size_t samples = decode(codec, width, &state, data.buf, len, pcm) / channels;
    if (samples > NVR_FLAC_SAMPLES) samples = NVR_FLAC_SAMPLES;
    if (samples) size = nvr_flac_frame(frame, pcm, samples, channels, rate_hz, first);
    Py_END_ALLOW_THREADS
  }
  PyBuffer_Release(&data);
  PyObject *out = pcm && frame ? Py_BuildValue("(y#y#)", (const char *)frame, (Py_ssize_t)size, (const char *)&state,
                                               (Py_ssize_t)(codec == G726 ? sizeof state : 0))
                               : PyErr_NoMemory();
  free(pcm);
  free(frame);
  return out;
}

static PyMethodDef methods[] = {
    {"flac", flac, METH_VARARGS, flac_doc},
    {NULL, NULL, 0, NULL},
};

int nvr_add_sound(PyObject *module) { return PyModule_AddFunctions(module, methods); }
