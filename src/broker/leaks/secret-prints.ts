/** By what the parts of a credential are known again, from its mint on. */
import type { Keyring } from '../../keys/keyring.ts'
import { rollingPrint } from '../../scan/rolling-print.ts'
import { secretParts } from '../../scan/secret-parts.ts'
import type { SecretPrintRow } from '../../store/rows.ts'
import { secretHash } from '../credentials/lease-plan.ts'

/** None of what is signed here: such a credential names its lease itself. */
export function secretPrints(
  keyring: Keyring,
  { lease, format, secret }: { lease: string; format: 'token' | 'json'; secret: string },
): SecretPrintRow[] {
  return Array.from(secretParts(format, secret), ([part, text]) => {
    const bytes = Buffer.from(text)
    const print = (rollingPrint(bytes) ^ maskOf(keyring, lease, part)) >>> 0
    return { lease, part, sha256: secretHash(text), chars: bytes.length, print }
  })
}

/** As it was before it was put into the ledger. */
export function printOf(keyring: Keyring, { lease, part, print }: SecretPrintRow): number {
  return (print ^ maskOf(keyring, lease, part)) >>> 0
}

/** Whoever reads the database learns nothing from the print that would make a hash quicker to guess. */
function maskOf(keyring: Keyring, lease: string, part: string): number {
  return Number.parseInt(keyring.tokenHash(`print ${lease} ${part}`).slice(0, 8), 16)
}
