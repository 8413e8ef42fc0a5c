/** An AWS session as issuers hand it out: the parts by their names at STS. */
import { z } from 'zod'

const shape = z.object({ AccessKeyId: z.string(), SecretAccessKey: z.string(), SessionToken: z.string() })

export type AwsParts = z.infer<typeof shape>

/** Undefined where it is not the secret of an AWS session. */
export function awsPartsOf(secret: unknown): AwsParts | undefined {
  return shape.safeParse(secret).data
}
