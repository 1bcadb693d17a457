"""G.726 as its section 4 has it, in whole numbers, with an encoder that tries every code."""

LOG = {
    2: (116, 365),
    3: (-2048, 135, 273, 373),
    4: (-2048, 4, 135, 213, 273, 323, 373, 425),
    5: (-2048, -66, 28, 104, 169, 224, 274, 318, 358, 395, 429, 459, 488, 514, 539, 566),
}
W = {
    2: (-22, 439),
    3: (-4, 30, 137, 582),
    4: (-12, 18, 41, 64, 112, 198, 355, 1122),
    5: (14, 14, 24, 39, 40, 41, 58, 100, 141, 179, 219, 280, 358, 440, 529, 696),
}
F = {
    2: (0, 7),
    3: (0, 1, 2, 7),
    4: (0, 0, 0, 1, 1, 1, 3, 7),
    5: (0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 2, 3, 4, 5, 6, 6),
}


def clip(value, least, most):
    return max(least, min(most, value))


def sign(value):
    return -1 if value < 0 else 1


class Float:
    """Sign, exponent and six bits of mantissa."""

    def __init__(self, value, negative=None):
        self.sign = (value < 0) if negative is None else negative
        value = abs(value)
        self.exponent = value.bit_length()
        self.mantissa = (value << 6) >> self.exponent if value else 32

    def __mul__(self, other):
        shift = self.exponent + other.exponent - 19
        product = (self.mantissa * other.mantissa + 48) >> 4
        product = product << shift if shift > 0 else product >> -shift
        return -product if self.sign ^ other.sign else product


class Model:
    def __init__(self, width):
        self.width, self.half = width, (1 << (width - 1)) - 1
        self.a, self.b, self.signs = [0, 0], [0] * 6, [1, 1]
        self.dq, self.sr = [Float(0)] * 6, [Float(0)] * 2
        self.ap = self.dms = self.dml = self.td = 0
        self.yu, self.yl = 544, 34816

    def estimate(self):
        zeros = sum(Float(b >> 2) * d for b, d in zip(self.b, self.dq, strict=True))
        poles = sum(Float(a >> 2) * s for a, s in zip(self.a, self.sr, strict=True))
        return zeros >> 1, (zeros + poles) >> 1

    def scale(self):
        if self.ap >= 256:
            return self.yu
        slow = self.yl >> 6
        return slow + int((self.yu - slow) * (self.ap >> 2) / 64)

    def step(self, code, y):
        negative = code > self.half
        index = self.half - (code & self.half) if negative else code
        log = LOG[self.width][index] + (y >> 2)
        size = ((128 + (log & 127)) << ((log >> 7) & 15)) >> 7 if log >= 0 else 0
        return index, negative, -size if negative else size

    def encode(self, sample):
        y, (_, se) = self.scale(), self.estimate()
        return min(range(1 << self.width), key=lambda c: abs(se + self.step(c, y)[2] - sample))

    def decode(self, code):
        y, (sez, se) = self.scale(), self.estimate()
        index, negative, dq = self.step(code, y)
        whole, part = self.yl >> 15, self.yl >> 10 & 31
        threshold = 31 << 10 if whole > 9 else (32 + part) << whole
        tone = self.td and abs(dq) > (threshold + (threshold >> 1)) >> 1
        sr, dqsez = clip(se + dq, -32768, 32767), sez + dq
        self.yu = clip(y + ((W[self.width][index] * 32 - y) >> 5), 544, 5120)
        self.yl += self.yu + (-self.yl >> 6)
        s = sign(dqsez) if dqsez else 0
        if tone:
            self.a, self.b = [0, 0], [0] * 6
        else:
            self.adapt(s, dq)
        self.signs = [s or 1, self.signs[0]]
        self.dq = [Float(dq, negative), *self.dq[:5]]
        self.sr = [Float(sr), self.sr[0]]
        self.td = not tone and self.a[1] < -11776
        f = F[self.width][index]
        self.dms += ((f << 9) - self.dms) >> 5
        self.dml += ((f << 11) - self.dml) >> 7
        fast = y < 1536 or self.td or abs((self.dms << 2) - self.dml) >= self.dml >> 3
        self.ap = 256 if tone else self.ap + ((512 * fast - self.ap) >> 4)
        return clip(sr * 4, -32768, 32767)

    def adapt(self, s, dq):
        f = clip((-self.a[0] * s * self.signs[0]) >> 5, -256, 255)
        a2 = self.a[1] - (self.a[1] >> 7) + f * bool(s) + 128 * s * self.signs[1]
        a2 = clip(a2, -12288, 12288)
        a1 = self.a[0] - (self.a[0] >> 8) + 192 * s * self.signs[0]
        self.a = [clip(a1, a2 - 15360, 15360 - a2), a2]
        leak = 9 if self.width == 5 else 8
        for i, past in enumerate(self.dq):
            b = self.b[i] - (self.b[i] >> leak)
            b += 128 * sign(dq) * (-1 if past.sign else 1) if dq else 0
            self.b[i] = clip(b, -32768, 32767)
