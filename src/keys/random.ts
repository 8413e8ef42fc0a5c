/** `size` bytes nobody can guess. The process edge passes the operating system's; a simulation, its own. */
export type RandomBytes = (size: number) => Uint8Array

/** From 0 up to 1: to spread what would come at once. */
export function fraction(random: RandomBytes): number {
  return Buffer.from(random(4)).readUInt32BE() / 2 ** 32
}
