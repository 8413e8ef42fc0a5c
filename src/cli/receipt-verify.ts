/** `mayfly receipt verify`: receipts against a key set, with no broker and no network. */
import {
  type ReceiptKeySet,
  type ReceiptVerdict,
  receiptKeySet,
  verifyReceipt,
} from '../receipts/verify-receipt.ts'
import { CLI_LIMITS } from './limits.ts'
import { count, printable, printJson } from './print.ts'
import { describe, readReceiptFile } from './receipt.ts'
import { CommandError, errorCode, type Terminal } from './terminal.ts'

export type VerifyOptions = { keys: string; issuer?: string; tree?: boolean; json?: boolean }

type Checked = { file: string; verdict: ReceiptVerdict }

/** Exit code 0: every receipt is good, and with `tree` none that they name is missing. */
export async function receiptVerify(
  terminal: Terminal,
  files: readonly string[],
  options: VerifyOptions,
): Promise<void> {
  const keys = await readKeySet(terminal, options.keys)
  const expected = options.issuer === undefined ? {} : { issuer: options.issuer }
  const checked: Checked[] = []
  for (const file of files)
    checked.push({
      file,
      verdict: await verifyReceipt(await readReceiptFile(terminal, file), keys, expected),
    })
  const missing = missingChildren(checked)
  if (options.json === true) printJson(terminal, { receipts: checked, missing })
  else terminal.out(`${[...checked.flatMap(tell), ...missing.map(tellMissing)].join('\n')}\n`)

  const refused = checked.filter(({ verdict }) => !verdict.ok)
  if (refused.length > 0) throw new CommandError(`${count(refused.length, 'receipt')} refused`)
  if (options.tree === true && missing.length > 0)
    throw new CommandError(`the tree is not whole: ${count(missing.length, 'receipt')} missing`)
}

function tell({ file, verdict }: Checked): string[] {
  if (!verdict.ok) return [`REFUSED ${printable(file)}: ${printable(verdict.detail)} (${verdict.fault})`]
  const { receipt, kid, sha256 } = verdict
  return [`good ${printable(file)}: signed by ${printable(kid)}, sha256 ${sha256}`, ...describe(receipt)]
}

type Missing = { task: string; child: string; receipt_sha256: string }

/** Named by a good receipt's hash, and not among the good ones. */
function missingChildren(checked: readonly Checked[]): Missing[] {
  const good = checked.flatMap(({ verdict }) => (verdict.ok ? [verdict] : []))
  const given = new Set(good.map(({ sha256 }) => sha256))
  return good.flatMap(({ receipt }) =>
    receipt.children
      .filter(child => !given.has(child.receipt_sha256))
      .map(child => ({ task: receipt.sub, child: child.task, receipt_sha256: child.receipt_sha256 })),
  )
}

function tellMissing({ task, child }: Missing): string {
  return `not given: the receipt of ${child}, a child of ${task}`
}

async function readKeySet(terminal: Terminal, path: string): Promise<ReceiptKeySet> {
  const { text } = await terminal.readFile(path, CLI_LIMITS.answerBytes).catch(cause => {
    throw new CommandError(`${path} cannot be read (${errorCode(cause)})`, { cause })
  })
  try {
    return receiptKeySet.parse(JSON.parse(text))
  } catch (cause) {
    throw new CommandError(
      `${path} is not a key set of receipts.\n` +
        '  Get it from a broker, while you trust the connection: curl $MAYFLY_URL/.well-known/receipt-jwks.json',
      { cause },
    )
  }
}
