/** `size` bytes nobody can guess. The process edge passes the operating system's; a simulation, its own. */
export type RandomBytes = (size: number) => Uint8Array
