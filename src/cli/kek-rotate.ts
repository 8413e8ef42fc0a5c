import { attestorTypes } from '../../attestors/index.ts'
import { issuerTypes } from '../../issuers/index.ts'
import { loadSettings } from '../config.ts'
import { type Kek, loadKek, readKek } from '../keys/kek.ts'
import { finishRotation, rotateKek } from '../keys/rotate-kek.ts'
import { noMetrics } from '../metrics.ts'
import { openLedger } from '../open-ledger.ts'
import { demandLedger } from './demand-ledger.ts'
import { CLI_LIMITS } from './limits.ts'
import { openAlone } from './open-alone.ts'
import { printJson } from './print.ts'
import { CommandError, errorCode, type Terminal, usageError } from './terminal.ts'

/**
 * `mayfly kek rotate`: gives the ledger another key-encryption key, in two steps (docs/operations.md). By ledger and
 * keys alone: the embedded ledger's broker is stopped, brokers that share one go on.
 */
export async function kekRotate(
  terminal: Terminal,
  options: { config: string; newKekFile?: string; finish?: boolean; json?: boolean },
): Promise<void> {
  const { config, newKekFile, finish = false } = options
  if ((newKekFile === undefined) !== finish)
    throw usageError(
      'say which step: --new-kek-file FILE to begin, or --finish when kek_file is the new one everywhere',
    )
  const edge = await terminal.edge('warn')
  const { settings } = await loadSettings(config, edge.files, { attestorTypes, issuerTypes })
  await demandLedger(edge.files, settings.ledger)
  const from = { files: edge.kekFiles, random: edge.random }
  const kek = await loadKek({ path: settings.kek_file, mayCreate: false }, from)
  const next = newKekFile === undefined ? undefined : await readNewKek(terminal, newKekFile)
  const ledger = await openAlone(
    () => openLedger(settings, edge, noMetrics),
    'The key of an embedded ledger is rotated while no broker has it.',
  )
  try {
    const { json, text } =
      next === undefined
        ? finished(kek, await finishRotation(ledger, kek, edge.random))
        : begun(next, newKekFile, await rotateKek(ledger, { kek, next }, edge.random))
    if (options.json) printJson(terminal, json)
    else terminal.out(text)
  } finally {
    await ledger.close()
  }
}

async function readNewKek({ readFile }: Terminal, path: string): Promise<Kek> {
  const read = (of: string) =>
    readFile(of, CLI_LIMITS.secretFileBytes).catch((cause: unknown) => {
      if (errorCode(cause) === 'ENOENT') return undefined
      throw new CommandError(`${of} cannot be read (${errorCode(cause)})`, { cause })
    })
  const kek = await readKek(path, { read })
  if (kek !== undefined) return kek
  throw new CommandError(
    `${path}: there is no such file. Make the new key first: (umask 077; openssl rand -hex 32 > ${path})`,
  )
}

type Told = { json: object; text: string }

function begun({ id }: Kek, file = '', { changed, besides }: Awaited<ReturnType<typeof rotateKek>>): Told {
  const json = { changed, key: id, besides: besides ?? null }
  if (besides === undefined)
    return { json, text: `Key ${id} alone opens the ledger already: nothing changed.\n` }
  const text =
    `Both keys open the ledger ${changed ? 'now' : 'already'}: ${besides}, and ${id}, which is to stay.\n` +
    `Put ${file} where kek_file points, for every broker, and start each of them again. Then:\n` +
    '  mayfly kek rotate --finish\n'
  return { json, text }
}

function finished({ id }: Kek, done: Awaited<ReturnType<typeof finishRotation>>): Told {
  const json = { changed: done !== undefined, key: id, gone: done?.gone ?? null }
  if (done === undefined)
    return { json, text: `No rotation is under way: key ${id} alone opens the ledger.\n` }
  const text =
    `Key ${id} alone opens the ledger now. Backups from before still open with ${done.gone}: keep its file as long\n` +
    'as you keep them, away from them, and destroy it then.\n'
  const caution =
    `This ledger was made before there were root keys, and its root key is ${done.gone} itself: whoever has that file\n` +
    'and a copy of the ledger, also of one made later, reads it. Only a new ledger ends that: docs/operations.md.\n'
  return { json, text: done.wasRoot ? text + caution : text }
}
