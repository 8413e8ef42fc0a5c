/**
 * A folder for everything that one run of the tests writes, in memory where the machine has room there: a
 * ledger's commits then cost no turn of a disk. It is what `tmpdir()` says in every test and in every program
 * that a test starts, and it goes when the run is over.
 */
import { execFileSync } from 'node:child_process'
import {
  accessSync,
  chmodSync,
  constants,
  mkdtempSync,
  readdirSync,
  rmSync,
  statfsSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

const MEMORY = '/dev/shm'
const NEEDED_BYTES = 2 * 1024 ** 3
const PREFIX = 'mayfly-tests-'

/** Vitest's global setup. @returns what takes the folder away. */
export function setup(): () => void {
  if (!isRoomy(MEMORY)) return () => {}
  for (const left of abandoned(MEMORY)) rmSync(join(MEMORY, left), { recursive: true, force: true })
  const folder = mkdtempSync(join(MEMORY, `${PREFIX}${process.pid}-`))
  // A PostgreSQL may run as another user: that user must reach its folders.
  chmodSync(folder, 0o755)
  const remove = () => rmSync(folder, { recursive: true, force: true })
  if (!runsPrograms(folder)) {
    remove()
    return () => {}
  }
  const before = tmpdir()
  process.env.TMPDIR = folder
  return () => {
    process.env.TMPDIR = before
    remove()
  }
}

function isRoomy(folder: string): boolean {
  try {
    accessSync(folder, constants.W_OK)
    const { bavail, bsize } = statfsSync(folder)
    return bavail * bsize > NEEDED_BYTES
  } catch {
    return false
  }
}

/** Of runs that were killed. */
function abandoned(folder: string): string[] {
  return readdirSync(folder).filter(name => {
    const pid = name.startsWith(PREFIX) ? Number.parseInt(name.slice(PREFIX.length), 10) : Number.NaN
    return !Number.isNaN(pid) && !isRunning(pid)
  })
}

function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM'
  }
}

/** Some machines run nothing that lies in memory, and tests write programs. */
function runsPrograms(folder: string): boolean {
  const program = join(folder, 'program')
  try {
    writeFileSync(program, '#!/bin/sh\n', { mode: 0o755 })
    execFileSync(program)
    return true
  } catch {
    return false
  }
}
