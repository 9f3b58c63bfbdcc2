import type { Random } from './random.ts'

const HEADER_BYTES = 256

/** A file with some of its bytes changed, most often in its header: flipped bits, other numbers, parts lost, doubled or moved. */
export function mutate(file: Buffer, random: Random): Buffer {
  let bytes: Buffer = Buffer.from(file)
  for (let left = 1 + random.below(6); left > 0; left--) bytes = random.of(CHANGES)(bytes, random)
  return bytes
}

type Change = (bytes: Buffer, random: Random) => Buffer

const CHANGES: readonly [Change, ...Change[]] = [flipBit, flipBit, setByte, setByte, setNumber, cutOut, double]

/** Half of the places are in the header, where a byte says much. */
function place(bytes: Buffer, random: Random): number {
  return random.below(random.below(2) === 0 ? Math.min(HEADER_BYTES, bytes.length) : bytes.length)
}

function flipBit(bytes: Buffer, random: Random): Buffer {
  const at = place(bytes, random)
  bytes[at] = (bytes[at] ?? 0) ^ (1 << random.below(8))
  return bytes
}

function setByte(bytes: Buffer, random: Random): Buffer {
  bytes[place(bytes, random)] = random.below(256)
  return bytes
}

/** Four bytes that are none, all, the largest number with a sign, or one that is large but possible. */
function setNumber(bytes: Buffer, random: Random): Buffer {
  if (bytes.length < 8) return bytes
  const at = Math.min(place(bytes, random), bytes.length - 4)
  bytes.writeUInt32BE(random.of([0, 0xffff_ffff, 0x7fff_ffff, 0x0000_7530, 0x3075_0000, 0x0001_0000]), at)
  return bytes
}

function cutOut(bytes: Buffer, random: Random): Buffer {
  const at = place(bytes, random)
  return Buffer.concat([bytes.subarray(0, at), bytes.subarray(at + 1 + random.below(64))])
}

function double(bytes: Buffer, random: Random): Buffer {
  const at = place(bytes, random)
  return Buffer.concat([bytes.subarray(0, at + 1 + random.below(64)), bytes.subarray(at)])
}
