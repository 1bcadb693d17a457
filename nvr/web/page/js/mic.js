// In the audio thread: a microphone's samples, at whatever rate it has, to pieces of 40 ms at 8 kHz.
// Averaging over each sample's own time takes out most of what 8 kHz cannot hold.

const OUT_HZ = 8000;
const PIECE = 320;

if ("registerProcessor" in globalThis) {
  const scope = /** @type {any} */ (globalThis);
  scope.registerProcessor("nvr-mic", class extends scope.AudioWorkletProcessor {
    piece = new Float32Array(PIECE);
    filled = 0;
    sum = 0;
    count = 0;
    phase = 0;

    /** @param {Float32Array[][]} inputs */
    process(inputs) {
      const step = OUT_HZ / scope.sampleRate;
      for (const value of inputs[0]?.[0] ?? []) {
        this.sum += value;
        this.count += 1;
        this.phase += step;
        if (this.phase < 1) continue;
        this.phase -= 1;
        this.piece[this.filled] = this.sum / this.count;
        this.sum = this.count = 0;
        this.filled += 1;
        if (this.filled < PIECE) continue;
        /** @type {any} */ (this).port.postMessage(this.piece.slice());
        this.filled = 0;
      }
      return true;
    }
  });
}
