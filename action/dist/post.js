// Written by `npm run build:action` from action/src. Licences: licenses.txt
var __defProp = Object.defineProperty;
var __export = (target, all) => {
  for (var name in all)
    __defProp(target, name, { get: all[name], enumerable: true });
};

// action/src/edge.ts
import { tmpdir } from "node:os";

// action/src/limits.ts
var second = 1e3;
var ACTION_LIMITS = {
  /** How long a broker that does not answer is asked again, all told. */
  outageMs: 60 * second,
  outagePauseMs: 5 * second,
  /** How long humans are waited for, unless `wait-for-approval` says. */
  approvalSeconds: 600,
  approvalMaxSeconds: 6 * 60 * 60,
  /** Of a command: the agreed silence, and the time between SIGTERM and SIGKILL. */
  heartbeatSeconds: 60,
  graceMs: 10 * second,
  /** How long the end of a task is watched for what the provider ends at once. */
  settleMs: 5 * second,
  settlePollMs: 250,
  /** The broker takes no more. */
  purposeChars: 500,
  asks: 16,
  shownChars: 500,
  maskedChars: 4
};

// action/src/masks.ts
function createMasks(tell) {
  const known = /* @__PURE__ */ new Set();
  return {
    add(secret) {
      for (const form of formsOf(secret)) {
        if (known.has(form)) continue;
        known.add(form);
        tell(form);
      }
    },
    scrub(text2) {
      let clean = text2;
      for (const form of known) clean = clean.replaceAll(form, "***");
      return clean;
    }
  };
}
function formsOf(secret) {
  const lines = secret.split(/\r?\n/).map((line) => line.trim());
  const encoded = [secret, ...lines.length > 1 ? lines : []].flatMap((text2) => [
    text2,
    encodeURIComponent(text2),
    JSON.stringify(text2).slice(1, -1)
  ]);
  const forms = [...encoded, ...base64Forms(secret)];
  return [...new Set(forms)].filter((form) => form.length >= ACTION_LIMITS.maskedChars);
}
function base64Forms(secret) {
  const bytes = Buffer.from(secret);
  return [0, 1, 2].flatMap((before) => {
    const text2 = Buffer.concat([Buffer.alloc(before), bytes]).toString("base64");
    const own = text2.slice(Math.ceil(before * 8 / 6), Math.floor((before + bytes.length) * 8 / 6));
    return [own, own.replaceAll("+", "-").replaceAll("/", "_")];
  });
}

// action/src/plain.ts
function plainLines(text2) {
  return text2.split("\n").map((line) => plain(line).replace(/^(\s*):(?=:)/, "$1: ")).join("\n");
}
function plain(text2) {
  return text2.replaceAll(/[\p{Cc}\p{Zl}\p{Zp}]/gu, " ").replaceAll("##[", "# #[");
}
function shown(text2) {
  return plain(text2).slice(0, ACTION_LIMITS.shownChars);
}

// action/src/job-on.ts
function jobOn({ core, ...outside }) {
  const masks = createMasks(core.setSecret);
  const clean = (text2) => plainLines(masks.scrub(text2));
  return {
    ...outside,
    input: (name) => core.getInput(name),
    output: core.setOutput,
    exportVariable: core.exportVariable,
    saveState: core.saveState,
    state: core.getState,
    mask: masks.add,
    info: (text2) => core.info(clean(text2)),
    notice: (text2) => core.notice(clean(text2), { title: "Mayfly" }),
    warning: (text2) => core.warning(clean(text2), { title: "Mayfly" }),
    fail: (text2) => core.setFailed(clean(text2))
  };
}

// action/src/run-script.ts
import { spawn } from "node:child_process";
import { randomUUID } from "node:crypto";
import { rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
async function runScript(script, env, folder) {
  const file = join(folder, `mayfly-${randomUUID()}.sh`);
  await writeFile(file, script, { mode: 384, flag: "wx" });
  const args = ["--noprofile", "--norc", "-e", "-o", "pipefail", file];
  const child = spawn("bash", args, { stdio: "inherit", env });
  const ended = new Promise((resolve) => {
    child.once("error", (error2) => {
      if (child.pid === void 0) resolve({ how: "failed", code: error2.code ?? "unknown" });
    });
    child.once(
      "exit",
      (code, signal) => resolve(signal === null ? { how: "exited", code: code ?? 1 } : { how: "signalled", signal })
    );
  });
  return {
    signal: (signal) => void child.kill(signal),
    ended: ended.finally(() => rm(file, { force: true }))
  };
}

// action/src/toolkit.ts
var toolkit_exports = {};
__export(toolkit_exports, {
  exportVariable: () => exportVariable,
  getInput: () => getInput,
  getState: () => getState,
  info: () => info,
  notice: () => notice,
  saveState: () => saveState,
  setFailed: () => setFailed,
  setOutput: () => setOutput,
  setSecret: () => setSecret,
  warning: () => warning
});

// node_modules/@actions/core/lib/command.js
import * as os from "os";

// node_modules/@actions/core/lib/utils.js
function toCommandValue(input) {
  if (input === null || input === void 0) {
    return "";
  } else if (typeof input === "string" || input instanceof String) {
    return input;
  }
  return JSON.stringify(input);
}
function toCommandProperties(annotationProperties) {
  if (!Object.keys(annotationProperties).length) {
    return {};
  }
  return {
    title: annotationProperties.title,
    file: annotationProperties.file,
    line: annotationProperties.startLine,
    endLine: annotationProperties.endLine,
    col: annotationProperties.startColumn,
    endColumn: annotationProperties.endColumn
  };
}

// node_modules/@actions/core/lib/command.js
function issueCommand(command, properties, message) {
  const cmd = new Command(command, properties, message);
  process.stdout.write(cmd.toString() + os.EOL);
}
var CMD_STRING = "::";
var Command = class {
  constructor(command, properties, message) {
    if (!command) {
      command = "missing.command";
    }
    this.command = command;
    this.properties = properties;
    this.message = message;
  }
  toString() {
    let cmdStr = CMD_STRING + this.command;
    if (this.properties && Object.keys(this.properties).length > 0) {
      cmdStr += " ";
      let first = true;
      for (const key in this.properties) {
        if (this.properties.hasOwnProperty(key)) {
          const val = this.properties[key];
          if (val) {
            if (first) {
              first = false;
            } else {
              cmdStr += ",";
            }
            cmdStr += `${key}=${escapeProperty(val)}`;
          }
        }
      }
    }
    cmdStr += `${CMD_STRING}${escapeData(this.message)}`;
    return cmdStr;
  }
};
function escapeData(s) {
  return toCommandValue(s).replace(/%/g, "%25").replace(/\r/g, "%0D").replace(/\n/g, "%0A");
}
function escapeProperty(s) {
  return toCommandValue(s).replace(/%/g, "%25").replace(/\r/g, "%0D").replace(/\n/g, "%0A").replace(/:/g, "%3A").replace(/,/g, "%2C");
}

// node_modules/@actions/core/lib/file-command.js
import * as crypto2 from "crypto";
import * as fs from "fs";
import * as os2 from "os";
function issueFileCommand(command, message) {
  const filePath = process.env[`GITHUB_${command}`];
  if (!filePath) {
    throw new Error(`Unable to find environment variable for file command ${command}`);
  }
  if (!fs.existsSync(filePath)) {
    throw new Error(`Missing file at path: ${filePath}`);
  }
  fs.appendFileSync(filePath, `${toCommandValue(message)}${os2.EOL}`, {
    encoding: "utf8"
  });
}
function prepareKeyValueMessage(key, value) {
  const delimiter2 = `ghadelimiter_${crypto2.randomUUID()}`;
  const convertedValue = toCommandValue(value);
  if (key.includes(delimiter2)) {
    throw new Error(`Unexpected input: name should not contain the delimiter "${delimiter2}"`);
  }
  if (convertedValue.includes(delimiter2)) {
    throw new Error(`Unexpected input: value should not contain the delimiter "${delimiter2}"`);
  }
  return `${key}<<${delimiter2}${os2.EOL}${convertedValue}${os2.EOL}${delimiter2}`;
}

// node_modules/@actions/core/lib/core.js
import * as os3 from "os";
import * as path from "path";
var ExitCode;
(function(ExitCode2) {
  ExitCode2[ExitCode2["Success"] = 0] = "Success";
  ExitCode2[ExitCode2["Failure"] = 1] = "Failure";
})(ExitCode || (ExitCode = {}));
function exportVariable(name, val) {
  const convertedVal = toCommandValue(val);
  process.env[name] = convertedVal;
  const filePath = process.env["GITHUB_ENV"] || "";
  if (filePath) {
    return issueFileCommand("ENV", prepareKeyValueMessage(name, val));
  }
  issueCommand("set-env", { name }, convertedVal);
}
function setSecret(secret) {
  issueCommand("add-mask", {}, secret);
}
function getInput(name, options) {
  const val = process.env[`INPUT_${name.replace(/ /g, "_").toUpperCase()}`] || "";
  if (options && options.required && !val) {
    throw new Error(`Input required and not supplied: ${name}`);
  }
  if (options && options.trimWhitespace === false) {
    return val;
  }
  return val.trim();
}
function setOutput(name, value) {
  const filePath = process.env["GITHUB_OUTPUT"] || "";
  if (filePath) {
    return issueFileCommand("OUTPUT", prepareKeyValueMessage(name, value));
  }
  process.stdout.write(os3.EOL);
  issueCommand("set-output", { name }, toCommandValue(value));
}
function setFailed(message) {
  process.exitCode = ExitCode.Failure;
  error(message);
}
function error(message, properties = {}) {
  issueCommand("error", toCommandProperties(properties), message instanceof Error ? message.toString() : message);
}
function warning(message, properties = {}) {
  issueCommand("warning", toCommandProperties(properties), message instanceof Error ? message.toString() : message);
}
function notice(message, properties = {}) {
  issueCommand("notice", toCommandProperties(properties), message instanceof Error ? message.toString() : message);
}
function info(message) {
  process.stdout.write(message + os3.EOL);
}
function saveState(name, value) {
  const filePath = process.env["GITHUB_STATE"] || "";
  if (filePath) {
    return issueFileCommand("STATE", prepareKeyValueMessage(name, value));
  }
  issueCommand("save-state", { name }, toCommandValue(value));
}
function getState(name) {
  return process.env[`STATE_${name}`] || "";
}

// action/src/edge.ts
function realJob(env) {
  return jobOn({
    core: toolkit_exports,
    env,
    world: {
      fetch: (input, init) => globalThis.fetch(input, init),
      now: () => Date.now(),
      schedule(ms, run, { background = false } = {}) {
        const timer = setTimeout(run, ms);
        if (background) timer.unref();
        return () => clearTimeout(timer);
      }
    },
    onSignal(signal, run) {
      process.on(signal, run);
      return () => process.off(signal, run);
    },
    run: (script, childEnv) => runScript(script, childEnv, env.RUNNER_TEMP ?? tmpdir())
  });
}

// src/client/limits.ts
var second2 = 1e3;
var kibibyte = 1024;
var CLIENT_LIMITS = {
  // One call to the broker; a mint may wait for a provider.
  callMs: 30 * second2,
  answerBytes: 4 * kibibyte * kibibyte,
  attempts: 4,
  backoffBaseMs: 250,
  /** The broker takes the same evidence again from 1 s after its first use; nearer is a race. */
  reopenMs: 1.5 * second2,
  /** A Retry-After above this is for the caller to wait out. */
  retryAfterMs: 10 * second2,
  // Evidence.
  evidenceBytes: 16 * kibibyte,
  oidcRequestMs: 10 * second2,
  oidcAnswerBytes: 64 * kibibyte,
  // Waiting for humans: at once, of the broker; and between two times.
  waitSeconds: 30,
  waitPollMs: 1 * second2,
  /** A credential with less life left than this is replaced before it is handed out. */
  leftMs: 60 * second2,
  receiptWaitMs: 10 * second2,
  receiptPollMs: 250,
  shownChars: 500
};

// src/client/mayfly-error.ts
var MayflyError = class extends Error {
  name = "MayflyError";
  code;
  /** Of the answer; undefined where there was none. */
  status;
  /** Whether the same method may be called again as it was, and may come to something else. */
  retryable;
  /** What the broker asked to wait before that. */
  retryAfterMs;
  /** What whoever answers for the agent can look up: quote it to them. */
  decision;
  /** As the broker told it; texts from outside, not made inert. */
  problem;
  constructor(message, options) {
    super(message, { cause: options.cause });
    this.code = options.code;
    this.status = options.status;
    this.retryable = options.retryable ?? false;
    this.retryAfterMs = options.retryAfterMs;
    this.decision = options.problem?.decision;
    this.problem = options.problem;
  }
};
function refused(status, problem, retryAfterMs) {
  return new MayflyError(describe(problem, retryAfterMs, ADVICE), {
    ...{ code: problem.code, status, problem, retryAfterMs },
    retryable: status === 429 || status === 503 || problem.code === "approval_pending"
  });
}
function describe({ title, detail: detail2, code, decision }, retryAfterMs, advice) {
  const toDo = Object.hasOwn(advice, code) ? advice[code] : void 0;
  return [
    `${inert(title)}: ${inert(detail2)} (${inert(code)})`,
    ...decision === void 0 ? [] : [
      `Quote decision ${inert(decision)} to whoever answers for the agent. They see why with:`,
      `  mayfly explain ${inert(decision)}`
    ],
    ...retryAfterMs === void 0 ? [] : [`Try again in ${Math.ceil(retryAfterMs / 1e3)} s.`],
    ...toDo === void 0 ? [] : [toDo]
  ].join("\n  ");
}
function inert(text2) {
  return text2.replaceAll(new RegExp("\\p{Cc}", "gu"), " ").slice(0, CLIENT_LIMITS.shownChars);
}
var ADVICE = {
  ask_invalid: "Asks name an issuer of this broker (their type), and what to want of it.",
  evidence_rejected: "Evidence must be fresh, not used before, and made for the audience that the broker expects. Why it was refused is in the audit log of the broker.",
  attestation_unavailable: "The identity provider's keys could not be had. This is an outage; try again later.",
  agent_unmatched: "Name the agent if this workload may be several; else have it registered.",
  event_not_allowed: "The rule of the agent must name this event before it may be used.",
  ask_denied: "Ask for less, or have whoever answers for the agent allow more.",
  approval_pending: "Wait for them with task.waitForApproval(), and ask for the credential then.",
  provider_refused: "The issuer asked, and its provider said no; nothing was created.",
  provider_unavailable: "Whatever may have been created is in the ledger and dies with the task. Try again.",
  unauthenticated: "The token is unknown or past its time.",
  task_not_active: "Open a new task.",
  internal: "This is a fault of the broker; its log says more.",
  foreign: "Check the address."
};

// src/client/asks.ts
var FORM = /* @__PURE__ */ Symbol("the form of its credential");
var AWS_PARTS = ["AccessKeyId", "SecretAccessKey", "SessionToken"];
function demandForm(ask, credential) {
  if (fits(ask[FORM], credential)) return credential;
  throw new MayflyError(
    `the issuer ${JSON.stringify(ask.type)} mints credentials of another form than the builder of this ask promises: write the ask as plain { type, ... }, or with the issuer's own builder`,
    { code: "answer_unexpected" }
  );
}
function fits(form, credential) {
  const parts = typeof credential === "object" && credential !== null ? credential : {};
  switch (form) {
    case void 0:
      return typeof credential === "string" || typeof credential === "object";
    case "token":
      return typeof credential === "string";
    case "aws":
      return AWS_PARTS.every((part) => typeof parts[part] === "string");
  }
}

// issuers/shared/secret.ts
var INSPECT = /* @__PURE__ */ Symbol.for("nodejs.util.inspect.custom");
var Secret = class {
  #value;
  constructor(value) {
    this.#value = value;
  }
  reveal() {
    return this.#value;
  }
  toString() {
    return "[secret]";
  }
  toJSON() {
    return "[secret]";
  }
  [INSPECT]() {
    return "[secret]";
  }
};

// src/client/broker-origin.ts
function brokerOrigin(text2) {
  const url = URL.parse(text2);
  const expected = "Expected scheme, host and port, like https://mayfly.example.com";
  if (url === null || !/^https?:$/.test(url.protocol) || text2 !== url.origin && text2 !== `${url.origin}/`)
    throw new MayflyError(
      `the broker's address ${JSON.stringify(text2.slice(0, 200))} is not usable. ${expected}`,
      { code: "url_invalid" }
    );
  if (!isPrivate(url))
    throw new MayflyError(
      `the broker's address ${url.origin} is plain http: tokens would cross the network in the clear.
  Use https; http is for this machine only (127.0.0.1, localhost, [::1]).`,
      { code: "url_invalid" }
    );
  return url.origin;
}
function isPrivate({ protocol, hostname }) {
  if (protocol === "https:") return true;
  const isLoopback = hostname === "localhost" || hostname === "[::1]" || /^127(\.\d{1,3}){3}$/.test(hostname);
  return protocol === "http:" && isLoopback;
}

// src/client/read-capped.ts
async function readCapped(response, maxBytes) {
  const decoder = new TextDecoder();
  let [text2, size] = ["", 0];
  for await (const chunk of response.body ?? []) {
    size += chunk.byteLength;
    if (size > maxBytes) throw new Error(`the answer is larger than ${maxBytes} bytes`);
    text2 += decoder.decode(chunk, { stream: true });
  }
  return text2 + decoder.decode();
}

// src/client/world.ts
function sleep(world, ms, signal) {
  let wake = () => {
  };
  const woken = new Promise((resolve) => {
    wake = world.schedule(ms, resolve);
  });
  return orAborted(woken, signal).finally(wake);
}
function orAborted(work, signal) {
  if (signal === void 0) return work;
  const { promise, resolve, reject } = Promise.withResolvers();
  const stop = () => reject(signal.reason);
  if (signal.aborted) stop();
  signal.addEventListener("abort", stop, { once: true });
  work.then(resolve, reject).finally(() => signal.removeEventListener("abort", stop));
  return promise;
}

// src/client/evidence.ts
function jwtFrom(text2, where) {
  const token = text2.trim();
  if (token.length <= CLIENT_LIMITS.evidenceBytes && /^[\w-]+\.[\w-]+\.[\w-]+$/.test(token)) return token;
  throw new MayflyError(
    `${where} does not hold a JWT (three parts of base64url, at most ${CLIENT_LIMITS.evidenceBytes} bytes, and nothing else)`,
    { code: "evidence_malformed" }
  );
}

// src/client/bound-key.ts
var ALGORITHM = { name: "ECDSA", namedCurve: "P-256" };
var SIGNATURE = { name: "ECDSA", hash: "SHA-256" };
function signingFetch({ fetch, now }, broker, given) {
  let nonce;
  let made;
  const keys = () => {
    made ??= given === void 0 ? crypto.subtle.generateKey(ALGORITHM, false, ["sign"]) : Promise.resolve(given);
    return made;
  };
  async function send2(url, init) {
    const headers = new Headers(init.headers);
    const token = /^(?:Bearer|DPoP) (.+)$/.exec(headers.get("authorization") ?? "")?.[1];
    if (token !== void 0) headers.set("authorization", `DPoP ${token}`);
    const claims = {
      jti: crypto.randomUUID(),
      htm: init.method ?? "GET",
      htu: url.replace(/[?#].*$/, ""),
      iat: Math.floor(now() / 1e3),
      ...nonce === void 0 ? {} : { nonce },
      ...token === void 0 ? {} : { ath: await sha256(token) }
    };
    headers.set("dpop", await proof(await keys(), claims));
    const response = await fetch(url, { ...init, headers });
    nonce = response.headers.get("dpop-nonce") ?? nonce;
    return response;
  }
  return async (input, init = {}) => {
    const url = String(input instanceof Request ? input.url : input);
    if (!url.startsWith(`${broker}/`)) return fetch(input, init);
    const before = nonce;
    const response = await send2(url, init);
    const asksForNonce = /error="use_dpop_nonce"/.test(response.headers.get("www-authenticate") ?? "");
    if (!asksForNonce || nonce === before) return response;
    await response.body?.cancel();
    return send2(url, init);
  };
}
async function proof({ privateKey, publicKey }, claims) {
  const { kty, crv, x, y } = await crypto.subtle.exportKey("jwk", publicKey);
  const header = { typ: "dpop+jwt", alg: "ES256", jwk: { kty, crv, x, y } };
  const input = [header, claims].map((part) => base64url(utf8(JSON.stringify(part)))).join(".");
  const signature = await crypto.subtle.sign(SIGNATURE, privateKey, utf8(input));
  return `${input}.${base64url(new Uint8Array(signature))}`;
}
async function sha256(text2) {
  return base64url(new Uint8Array(await crypto.subtle.digest("SHA-256", utf8(text2))));
}
var utf8 = (text2) => new TextEncoder().encode(text2);
function base64url(bytes) {
  return btoa(String.fromCharCode(...bytes)).replaceAll("+", "-").replaceAll("/", "_").replace(/=+$/, "");
}

// src/client/answers.ts
function readOpened(answer) {
  const at = members(answer, "");
  return {
    task: readTask(at.task),
    token: new Secret(text(at, "task_token")),
    decision: text(at, "decision")
  };
}
function readTask(answer) {
  const at = members(answer, "task");
  return {
    ...{ id: text(at, "id"), agent: text(at, "agent"), purpose: text(at, "purpose") },
    state: text(at, "state"),
    end: textOrNull(at, "end"),
    openedAt: time(at, "opened_at"),
    deadline: time(at, "deadline"),
    heartbeatSeconds: typeof at.heartbeat_seconds === "number" ? at.heartbeat_seconds : null,
    asks: list(at, "asks").map((one) => ({
      id: text(one, "id"),
      state: text(one, "state"),
      authorizationDetails: detail(one),
      ...typeof one.provider === "string" && { provider: one.provider }
    })),
    approvals: list(at, "approvals").map((one) => ({
      ...{ id: text(one, "id"), ask: text(one, "ask"), state: text(one, "state") },
      reason: textOrNull(one, "reason")
    })),
    credentials: list(at, "credentials").map(readLease)
  };
}
function readAsked(answer) {
  const at = members(answer, "");
  if (at.status === "approval_pending")
    return { pending: { ask: text(at, "ask"), approval: text(at, "approval") } };
  return { minted: readCredential(answer) };
}
function readCredential(answer) {
  const at = members(answer, "");
  if (at.credential === void 0) throw unexpected("credential");
  return {
    ...{ lease: text(at, "lease"), ask: text(at, "ask"), issuer: text(at, "issuer") },
    credential: at.credential,
    authorizationDetails: detail(at),
    revocability: text(at, "revocability"),
    expiresAt: time(at, "expires_at"),
    providerExpiresAt: time(at, "provider_expires_at"),
    details: Object.fromEntries(Object.entries(members(at.details ?? {}, "details")).filter(isFact))
  };
}
function isFact(entry) {
  return typeof entry[1] === "string" || typeof entry[1] === "number";
}
function readTicket(answer) {
  const at = members(answer, "");
  return { ticket: new Secret(text(at, "ticket")), id: text(at, "id"), expiresAt: time(at, "expires_at") };
}
function readTime(answer, name) {
  const at = members(answer, "");
  return at[name] === null ? null : time(at, name);
}
function readText(answer, name) {
  return text(members(answer, ""), name);
}
function readLease(at) {
  return {
    ...{ lease: text(at, "lease"), issuer: text(at, "issuer"), revocability: text(at, "revocability") },
    state: text(at, "state"),
    closedAs: textOrNull(at, "closed_as"),
    authorizationDetails: detail(at),
    expiresAt: textOrNull(at, "expires_at"),
    providerExpiresAt: textOrNull(at, "provider_expires_at")
  };
}
function members(value, name) {
  if (typeof value === "object" && value !== null && !Array.isArray(value)) return value;
  throw unexpected(name);
}
function text(at, name) {
  const value = at[name];
  if (typeof value === "string") return value;
  throw unexpected(name);
}
function textOrNull(at, name) {
  return at[name] === null || at[name] === void 0 ? null : text(at, name);
}
function time(at, name) {
  const date = new Date(text(at, name));
  if (Number.isNaN(date.getTime())) throw unexpected(name);
  return date;
}
function detail(at) {
  const value = members(at.authorization_details, "authorization_details");
  return { ...value, type: text(value, "type") };
}
function list(at, name) {
  const value = at[name] ?? [];
  if (Array.isArray(value)) return value.map((one) => members(one, name));
  throw unexpected(name);
}
function unexpected(name) {
  return new MayflyError(
    `the broker answered, but not as this version expects (${name || "the whole"}). Is it of the same version?`,
    { code: "answer_unexpected" }
  );
}

// src/client/credential.ts
var INSPECT2 = /* @__PURE__ */ Symbol.for("nodejs.util.inspect.custom");
var Credential = class {
  /** Its id in the ledger, the audit log and the receipt. */
  lease;
  /** The id of the ask it was minted for. */
  ask;
  issuer;
  /** What was granted. */
  authorizationDetails;
  /** How it ends: `immediate`, `propagating`, `introspected` or `expiry_only`. */
  revocability;
  /** When Mayfly revokes it at the latest. */
  expiresAt;
  /** When the provider would. */
  providerExpiresAt;
  /** Plain facts that its issuer tells of it: `installation_id`, `account`. */
  details;
  #value;
  /** @throws MayflyError `answer_unexpected` where it is not of the form that the ask's builder promises */
  constructor(ask, answer) {
    this.lease = answer.lease;
    this.ask = answer.ask;
    this.issuer = answer.issuer;
    this.authorizationDetails = answer.authorizationDetails;
    this.revocability = answer.revocability;
    this.expiresAt = answer.expiresAt;
    this.providerExpiresAt = answer.providerExpiresAt;
    this.details = answer.details;
    this.#value = demandForm(ask, answer.credential);
  }
  /** Call it where the value leaves on purpose, and nowhere else. */
  reveal() {
    return this.#value;
  }
  toString() {
    return "[secret]";
  }
  toJSON() {
    return "[secret]";
  }
  [INSPECT2]() {
    return "[secret]";
  }
};

// src/client/task-calls.ts
function openCall(evidence, asks, options, statements = []) {
  const { purpose, agent, minutes, heartbeatSeconds, lifetime, ticket, onBehalfOf } = options;
  const body = {
    evidence: typeof evidence === "string" ? { type: "jwt", token: evidence } : { type: evidence.type },
    purpose,
    authorization_details: asks,
    ...statements.length === 0 ? {} : { posture: statements },
    ...agent === void 0 ? {} : { agent },
    ...minutes === void 0 ? {} : { minutes },
    ...heartbeatSeconds === void 0 ? {} : { heartbeat_seconds: heartbeatSeconds },
    ...lifetime === void 0 ? {} : { lifetime },
    ...ticket === void 0 ? {} : { ticket: plain2(ticket) },
    ...onBehalfOf === void 0 ? {} : { on_behalf_of: { type: "jwt", token: plain2(onBehalfOf) } },
    ...declared(options),
    ...wish(options)
  };
  return { method: "POST", path: "/v1/tasks", body, whenLost: "reopen" };
}
function mintCall({ id, token }, what) {
  const body = "ask" in what ? { ask: what.ask } : { authorization_details: what.authorization_details, ...declared(what), ...wish(what) };
  return { method: "POST", path: `${pathOf(id)}/credentials`, token, body, whenLost: "never" };
}
function giveBackCall({ id, token }, lease) {
  const path2 = `${pathOf(id)}/credentials/${encodeURIComponent(lease)}`;
  return { method: "DELETE", path: path2, token, whenLost: "repeat" };
}
function readCall({ id, token }) {
  return { method: "GET", path: pathOf(id), token, whenLost: "repeat" };
}
function waitCall(task, seconds) {
  return {
    ...readCall(task),
    prefer: `wait=${Math.min(seconds, CLIENT_LIMITS.waitSeconds)}`,
    deadlineMs: CLIENT_LIMITS.callMs + CLIENT_LIMITS.waitSeconds * 1e3
  };
}
function heartbeatCall({ id, token }, statements) {
  const body = statements === void 0 ? {} : { body: { posture: statements } };
  return { method: "POST", path: `${pathOf(id)}/heartbeat`, token, ...body, whenLost: "repeat" };
}
function extendCall({ id, token }, body) {
  return { method: "POST", path: `${pathOf(id)}/extend`, token, body, whenLost: "repeat" };
}
function completeCall({ id, token }, outcome, detail2) {
  const body = { outcome, ...detail2 === void 0 ? {} : { detail: detail2 } };
  return { method: "POST", path: `${pathOf(id)}/complete`, token, body, whenLost: "repeat" };
}
function ticketCall({ id, token }, body) {
  return { method: "POST", path: `${pathOf(id)}/tickets`, token, body, whenLost: "never" };
}
function receiptCall({ id, token }) {
  return {
    ...{ method: "GET", path: `${pathOf(id)}/receipt`, token },
    whenLost: "repeat"
  };
}
function plain2(token) {
  return typeof token === "string" ? token : token.reveal();
}
function pathOf(id) {
  return `/v1/tasks/${encodeURIComponent(id)}`;
}
function declared({ confidence, urgency }) {
  return {
    ...confidence === void 0 ? {} : { confidence },
    ...urgency === void 0 ? {} : { urgency }
  };
}
function wish({ justification, mints }) {
  return {
    ...justification === void 0 ? {} : { justification },
    ...mints === void 0 ? {} : { mints }
  };
}

// src/client/heartbeats.ts
function heartbeats(key, call, posture) {
  let isWanted = false;
  return async (options, deadlineMs) => {
    const within = deadlineMs === void 0 ? {} : { deadlineMs };
    if (!isWanted) {
      try {
        return await call({ ...heartbeatCall(key), ...within }, options);
      } catch (error2) {
        const isAsked = error2 instanceof MayflyError && error2.code === "posture_needed";
        if (posture === void 0 || !isAsked) throw error2;
        isWanted = true;
      }
    }
    return call({ ...heartbeatCall(key, await posture?.()), ...within }, options);
  };
}

// src/client/held-credentials.ts
function holdCredentials({ mint, now, deadline }) {
  const held = /* @__PURE__ */ new Map();
  const underWay = /* @__PURE__ */ new Map();
  let isDropped = false;
  function fresh(ask, atLeastMs) {
    const have = held.get(ask);
    if (have === void 0) return void 0;
    const end2 = have.credential.expiresAt.getTime();
    const left = end2 - now();
    if (left <= 0) return void 0;
    if (end2 > deadline() - 1e3) return have.credential;
    return left >= Math.min(atLeastMs, have.lifeMs / 2) ? have.credential : void 0;
  }
  function put(credential) {
    if (isDropped) return;
    held.set(credential.ask, { credential, lifeMs: credential.expiresAt.getTime() - now() });
  }
  function mintOnce(ask) {
    const before = underWay.get(ask);
    if (before !== void 0) return before;
    const minting = mint(ask).then((credential) => {
      put(credential);
      return credential;
    }).finally(() => underWay.delete(ask));
    underWay.set(ask, minting);
    return minting;
  }
  return {
    async get(ask, { atLeastMs, signal }) {
      signal?.throwIfAborted();
      return fresh(ask, atLeastMs) ?? orAborted(mintOnce(ask), signal);
    },
    put,
    forget(ask, lease) {
      if (held.get(ask)?.credential.lease === lease) held.delete(ask);
    },
    drop() {
      isDropped = true;
      held.clear();
    }
  };
}

// src/client/keep-alive.ts
function keepAlive(world, task) {
  const stopping = new AbortController();
  const everyMs = task.heartbeatSeconds === null ? void 0 : Math.floor(task.heartbeatSeconds * 1e3 / 3);
  let ended;
  let tell = (_why) => {
  };
  let cancel = plan();
  function plan() {
    const left = task.deadline() - world.now();
    const wait = Math.min(everyMs ?? DAY_MS, left > 0 ? left + MARGIN_MS : everyMs ?? MARGIN_MS, DAY_MS);
    return world.schedule(wait, () => void once(), { background: true });
  }
  async function once() {
    try {
      await task.beat({
        signal: stopping.signal,
        deadlineMs: Math.min(everyMs ?? CLIENT_LIMITS.callMs, CLIENT_LIMITS.callMs)
      });
    } catch (error2) {
      if (isOver(error2)) {
        ended = `task ${task.id} has ended`;
        tell(ended);
        return;
      }
    }
    if (!stopping.signal.aborted) cancel = plan();
  }
  return {
    whenEnded(run) {
      tell = run;
      if (ended !== void 0) run(ended);
    },
    stop() {
      cancel();
      stopping.abort();
    }
  };
}
function isOver(error2) {
  if (!(error2 instanceof MayflyError) || error2.code === "evidence_rejected") return false;
  return error2.status !== void 0 && ENDED.has(error2.status);
}
var ENDED = /* @__PURE__ */ new Set([401, 404, 409]);
var MARGIN_MS = 1e3;
var DAY_MS = 864e5;

// src/client/receipt.ts
async function waitForReceipt(call, world, task, { waitMs = CLIENT_LIMITS.receiptWaitMs, signal } = {}) {
  const until = world.now() + waitMs;
  for (; ; ) {
    try {
      return readText(await call(receiptCall(task)), "receipt");
    } catch (error2) {
      if (!(error2 instanceof MayflyError) || error2.code !== "receipt_not_ready") throw error2;
      if (world.now() >= until) return void 0;
    }
    await sleep(world, CLIENT_LIMITS.receiptPollMs, signal);
  }
}

// src/client/task-record.ts
function createRecord({ task }, asked, whenOver) {
  let { state, deadline } = task;
  const asks = asked.map((one, index) => {
    const granted = task.asks[index];
    return { ...granted, asked: one, approval: approvalOf(task, granted.id) };
  });
  function close() {
    if (state === "active") state = "ended";
    whenOver();
  }
  return {
    get state() {
      return state;
    },
    get deadline() {
      return deadline;
    },
    asks,
    find(ask) {
      const found = asks.find((one) => one === ask || one.asked === ask);
      if (found !== void 0) return found;
      throw new MayflyError(
        "this ask is not one of the task: give the object it was asked with, or an entry of task.asks.\n  For something more there is task.ask(...).",
        { code: "ask_unknown" }
      );
    },
    add(ask) {
      const entry = { ...ask, approval: void 0 };
      asks.push(entry);
      return entry;
    },
    note(status) {
      state = status.state;
      deadline = status.deadline;
      for (const one of asks) {
        one.state = stateOf(status, one.id) ?? one.state;
        one.approval = approvalOf(status, one.id) ?? one.approval;
        const { provider } = status.asks.find(({ id }) => id === one.id) ?? {};
        if (provider !== void 0) one.provider = provider;
      }
      if (state !== "active") close();
      return status;
    },
    moveDeadline(moved) {
      deadline = moved;
    },
    close
  };
}
function demandSameAsks({ task }, asked) {
  const isSame = asked.every((ask, index) => task.asks[index]?.authorizationDetails.type === ask.type);
  if (isSame && task.asks.length === asked.length) return;
  throw new MayflyError(`the broker granted other asks than were made: see task ${task.id}`, {
    code: "answer_unexpected"
  });
}
function stateOf({ asks }, id) {
  return asks.find((one) => one.id === id)?.state;
}
function approvalOf({ approvals }, ask) {
  return approvals.findLast((one) => one.ask === ask);
}

// src/client/transport.ts
async function request(world, url, call) {
  let leftSomething = false;
  for (let attempt = 1; ; attempt += 1) {
    call.signal?.throwIfAborted();
    const outcome = await send(world.fetch, url, call);
    if (outcome.kind === "answer" && outcome.status < 300) return json(outcome.text);
    call.signal?.throwIfAborted();
    leftSomething ||= outcome.kind === "lost" || outcome.kind === "answer" && outcome.status === 503;
    if (!leftSomething) call.unwanted?.throwIfAborted();
    const wait = attempt < CLIENT_LIMITS.attempts ? waitBefore(outcome, call, attempt) : void 0;
    if (wait === void 0) throw failure(url, outcome, call);
    await sleep(world, wait, call.signal);
  }
}
async function send(fetch, url, call) {
  const deadline = AbortSignal.timeout(call.deadlineMs ?? CLIENT_LIMITS.callMs);
  call.onSend?.();
  try {
    const response = await fetch(url + call.path, {
      method: call.method,
      redirect: "error",
      signal: call.signal === void 0 ? deadline : AbortSignal.any([deadline, call.signal]),
      headers: {
        accept: "application/json",
        ...call.prefer === void 0 ? {} : { prefer: call.prefer },
        ...call.token === void 0 ? {} : { authorization: `Bearer ${call.token.reveal()}` },
        ...call.body === void 0 ? {} : { "content-type": "application/json" }
      },
      ...call.body === void 0 ? {} : { body: JSON.stringify(call.body) }
    });
    const seconds = response.headers.get("retry-after") ?? "";
    return {
      kind: "answer",
      status: response.status,
      text: await readCapped(response, CLIENT_LIMITS.answerBytes),
      retryAfterMs: /^\d{1,6}$/.test(seconds) ? Number(seconds) * 1e3 : void 0
    };
  } catch (cause) {
    return { kind: isUnsent(cause) ? "unsent" : "lost", cause };
  }
}
function waitBefore(outcome, { whenLost }, attempt) {
  const backoff = CLIENT_LIMITS.backoffBaseMs * 2 ** (attempt - 1);
  if (outcome.kind === "unsent") return backoff;
  const atLeast = whenLost === "reopen" ? CLIENT_LIMITS.reopenMs : 0;
  if (outcome.kind === "lost") return whenLost === "never" ? void 0 : Math.max(atLeast, backoff);
  if (outcome.status !== 503 || outcome.retryAfterMs === void 0) return void 0;
  return outcome.retryAfterMs > CLIENT_LIMITS.retryAfterMs ? void 0 : Math.max(atLeast, outcome.retryAfterMs);
}
function failure(url, outcome, { whenLost }) {
  switch (outcome.kind) {
    case "answer":
      return refused(outcome.status, problemOf(outcome), outcome.retryAfterMs);
    case "unsent":
      return new MayflyError(
        `no broker answers at ${url}: nothing was sent. Check the address, or try later.`,
        {
          ...{ code: "unreachable", retryable: true, cause: outcome.cause }
        }
      );
    case "lost":
      return new MayflyError(
        `the broker at ${url} could not be reached, or its answer was lost (${causeCode(outcome.cause)}).
  ` + (whenLost === "never" ? "What it did is in the ledger and dies with the task; it was not asked a second time." : "Check the address, the network and the certificate, and try again."),
        { code: "answer_lost", retryable: whenLost !== "never", cause: outcome.cause }
      );
  }
}
function problemOf({ status, text: text2 }) {
  const told2 = json(text2);
  const { title, detail: detail2, code, decision } = told2 ?? {};
  if (typeof title !== "string" || typeof detail2 !== "string" || typeof code !== "string")
    return { title: "The answer is not from a Mayfly broker", detail: `status ${status}`, code: "foreign" };
  return { title, detail: detail2, code, ...typeof decision === "string" && { decision } };
}
function json(text2) {
  try {
    return JSON.parse(text2);
  } catch {
    return void 0;
  }
}
function isUnsent(cause) {
  const code = causeCode(cause);
  if (code === "ECONNREFUSED" || code === "ConnectionRefused") return true;
  const innermost = cause instanceof Error && cause.cause instanceof Error ? cause.cause : cause;
  return innermost instanceof Error && REFUSED_IN_DENO.test(innermost.message);
}
var REFUSED_IN_DENO = /client error \(Connect\): .*\(os error (?:111|61|10061)\)/;
function causeCode(error2) {
  if (!(error2 instanceof Error)) return "unknown";
  if ("code" in error2 && typeof error2.code === "string") return error2.code;
  return error2.cause === void 0 ? error2.name : causeCode(error2.cause);
}

// src/client/wait-for-approval.ts
async function waitForApproval(call, world, task, { ask, timeoutMs = Number.POSITIVE_INFINITY, signal, note }) {
  const until = world.now() + timeoutMs;
  for (; ; ) {
    const left = Math.max(0, Math.ceil((until - world.now()) / 1e3));
    const status = readTask(await call(waitCall(task, left)));
    note(status);
    const asks = status.asks.filter((one) => ask === void 0 || one.id === ask);
    if (!asks.some((one) => one.state === "pending")) return demandGranted(status, asks);
    if (world.now() >= until)
      throw new MayflyError(`humans have not answered yet: ${named(status, asks, "pending")}`, {
        ...{ code: "approval_pending", retryable: true }
      });
    await sleep(world, CLIENT_LIMITS.waitPollMs, signal);
  }
}
function demandGranted(status, asks) {
  const over = asks.find((one) => one.state !== "granted");
  if (over !== void 0)
    throw new MayflyError(
      `not granted: ${named(status, asks, over.state)}.
  Ask anew, and better: an ask that is over stays so.`,
      { code: "approval_over" }
    );
  if (status.state !== "active")
    throw new MayflyError(`task ${status.id} has ended (${status.end ?? status.state}): open a new one`, {
      code: "task_not_active"
    });
}
function named({ approvals }, asks, state) {
  return asks.filter((one) => one.state === state).map(({ id }) => {
    const approval = approvals.findLast((one) => one.ask === id);
    if (approval === void 0) return `${inert(id)} is ${state}`;
    const reason = approval.reason === null ? "" : `, because: ${inert(approval.reason)}`;
    return `${inert(id)} is ${state} (${inert(approval.id)}${reason})`;
  }).join("; ");
}

// src/client/live-task.ts
function liveTask({ world, url, posture }, asked, opened) {
  const { aheadMs } = opened;
  const { id, agent, heartbeatSeconds } = opened.task;
  const key = { id, token: opened.token };
  const over = new AbortController();
  const record = createRecord(opened, asked, () => {
    life.stop();
    held.drop();
    over.abort(new MayflyError(`task ${id} has ended`, { code: "task_not_active" }));
  });
  async function call(what, { signal } = {}) {
    try {
      return await request(world, url, { ...what, ...signal && { signal } });
    } catch (error2) {
      if (error2 instanceof MayflyError && error2.code === "task_not_active") record.close();
      throw error2;
    }
  }
  const held = holdCredentials({
    now: () => world.now() + aheadMs,
    deadline: () => record.deadline.getTime(),
    async mint(ask) {
      const minted = readCredential(await call(mintCall(key, { ask })));
      return new Credential(record.asks.find((one) => one.id === ask).asked, minted);
    }
  });
  const beat = heartbeats(key, call, posture);
  const life = keepAlive(world, {
    ...{ id, heartbeatSeconds },
    deadline: () => record.deadline.getTime() - aheadMs,
    beat: ({ signal, deadlineMs }) => beat({ signal }, deadlineMs)
  });
  life.whenEnded(() => record.close());
  if (record.state !== "active") record.close();
  let wanted = "completed";
  async function end2(outcome, { detail: detail2, ...options } = {}) {
    wanted = outcome;
    life.stop();
    return record.note(readTask(await call(completeCall(key, outcome, detail2), options)));
  }
  return {
    ...{ id, agent, token: key.token, decision: opened.decision, heartbeatSeconds, signal: over.signal },
    get state() {
      return record.state;
    },
    get deadline() {
      return record.deadline;
    },
    get asks() {
      return [...record.asks];
    },
    ...methodsOf({ key, record, held, call, beat }),
    async waitForApproval({ ask, ...options } = {}) {
      const wait = { ...options, ...ask && { ask: record.find(ask).id } };
      await waitForApproval((what) => call(what, options), world, key, { ...wait, note: record.note });
    },
    complete: (options) => end2("completed", options),
    fail: (options) => end2("failed", options),
    cancel: (options) => end2("cancelled", options),
    receipt: (options) => waitForReceipt((what) => call(what, options), world, key, options),
    async [Symbol.asyncDispose]() {
      if (!over.signal.aborted) await end2(wanted);
    }
  };
}
function methodsOf({ key, record, held, call, beat }) {
  return {
    async credential(ask, { atLeastMs = CLIENT_LIMITS.leftMs, signal } = {}) {
      return await held.get(record.find(ask).id, { atLeastMs, signal });
    },
    async giveBack({ ask, lease }, options) {
      held.forget(ask, lease);
      await call(giveBackCall(key, lease), options);
    },
    async ask(ask, { signal, ...options } = {}) {
      const what = mintCall(key, { authorization_details: [ask], ...options });
      const answer = readAsked(await call(what, signal && { signal }));
      if ("pending" in answer) {
        record.add({ id: answer.pending.ask, state: "pending", authorizationDetails: ask, asked: ask });
        record.note(readTask(await call(readCall(key), signal && { signal })));
        return record.find(ask);
      }
      const { ask: id, authorizationDetails } = answer.minted;
      const entry = record.add({ id, state: "granted", authorizationDetails, asked: ask });
      held.put(new Credential(ask, answer.minted));
      return entry;
    },
    read: async (options) => record.note(readTask(await call(readCall(key), options))),
    async ticket({ asks, signal, ...bounds }) {
      const what = ticketCall(key, { ...bounds, authorization_details: asks });
      return readTicket(await call(what, signal && { signal }));
    },
    async extend({ signal, ...wanted }) {
      const answer = await call(extendCall(key, wanted), signal && { signal });
      record.moveDeadline(readTime(answer, "deadline") ?? record.deadline);
      return record.deadline;
    },
    async heartbeat(options) {
      return readTime(await beat(options), "heartbeat_due");
    }
  };
}

// src/client/open-task.ts
async function openTask({ world, url, evidence, posture }, asks, options) {
  const { signal } = options;
  signal?.throwIfAborted();
  if (new Set(asks).size !== asks.length)
    throw new MayflyError("one object stands twice among the asks: make one for each", {
      code: "ask_unknown"
    });
  const presented = await evidenceFrom({ world, url, evidence }, signal);
  const statements = posture === void 0 ? [] : await orAborted(Promise.resolve().then(posture), signal);
  let sentAt = world.now();
  const call = {
    ...openCall(presented, asks, options, statements),
    ...signal && { unwanted: signal },
    onSend: () => {
      sentAt = world.now();
    }
  };
  const opening = request(world, url, call).then(readOpened);
  try {
    const opened = await orAborted(opening, signal);
    demandSameAsks(opened, asks);
    return { ...opened, aheadMs: opened.task.openedAt.getTime() - sentAt };
  } catch (error2) {
    void endUnwanted({ world, url }, opening);
    throw error2;
  }
}
async function resumeTask({ world, url }, { id, token, signal }) {
  const key = { id, token: typeof token === "string" ? new Secret(token) : token };
  const task = readTask(await request(world, url, { ...readCall(key), ...signal && { signal } }));
  return { task, token: key.token, decision: null, aheadMs: 0 };
}
async function evidenceFrom({ world, url, evidence }, signal) {
  const ask = async () => evidence({ ...world, broker: url, ...signal && { signal } });
  const given = await orAborted(ask(), signal);
  return typeof given === "string" ? jwtFrom(given, "what the evidence source gave") : given;
}
async function endUnwanted({ world, url }, opening) {
  try {
    const { task, token } = await opening;
    await request(
      world,
      url,
      completeCall({ id: task.id, token }, "cancelled", "given up while it was opened")
    );
  } catch {
  }
}

// src/client/surroundings.ts
var surroundings = {
  // Looked up when it is called, so that whoever replaces it (an agent for proxies, a trace) is heard.
  fetch: (input, init) => globalThis.fetch(input, init),
  now: () => Date.now(),
  schedule(ms, run, { background = false } = {}) {
    const timer = setTimeout(run, ms);
    if (background) unref(timer);
    return () => clearTimeout(timer);
  }
};
function unref(timer) {
  if (typeof timer === "number") globalThis.Deno?.unrefTimer?.(timer);
  else timer.unref?.();
}

// src/client/mayfly.ts
function createMayfly(options) {
  const { url: address, evidence, posture, boundKey = false, ...given } = options;
  const url = brokerOrigin(address);
  const world = { ...surroundings, ...given };
  const signed = boundKey === false ? {} : { fetch: signingFetch(world, url, boundKey === true ? void 0 : boundKey) };
  const stated = posture === void 0 ? {} : { posture };
  const broker = { world: { ...world, ...signed }, url, evidence, ...stated };
  async function open(options2) {
    return liveTask(broker, options2.asks, await openTask(broker, options2.asks, options2));
  }
  return {
    url,
    openTask: open,
    async resumeTask(held) {
      const found = await resumeTask(broker, held);
      const asks = found.task.asks.map((one) => one.authorizationDetails);
      return liveTask(broker, asks, found);
    },
    async withTask(options2, work) {
      const task = await open(options2);
      const worked = await Promise.resolve(task).then(work).catch(async (error2) => {
        await endAfter(task, options2.signal?.aborted === true);
        throw error2;
      });
      await task[Symbol.asyncDispose]();
      return worked;
    }
  };
}
async function endAfter(task, isCancelled) {
  if (task.state !== "active") return;
  try {
    await (isCancelled ? task.cancel() : task.fail());
  } catch {
  }
}

// action/src/explain.ts
function briefly(error2) {
  if (error2 instanceof MayflyError) return `${shown(error2.code)}${error2.status ? `, ${error2.status}` : ""}`;
  return error2 instanceof Error ? shown(error2.name) : "unknown";
}

// action/src/state.ts
var TASK_STATE = {
  id: "task",
  token: "token",
  url: "url",
  lifetime: "lifetime",
  /** Set where the task has ended already. */
  over: "over"
};

// action/src/patience.ts
function pause({ world }, ms, signal) {
  const { promise, resolve, reject } = Promise.withResolvers();
  const cancel = world.schedule(ms, resolve);
  const stop = () => {
    cancel();
    reject(signal?.reason);
  };
  if (signal?.aborted) stop();
  signal?.addEventListener("abort", stop, { once: true });
  return promise.finally(() => signal?.removeEventListener("abort", stop));
}

// action/src/tell-end.ts
async function untilQuiet(job, task) {
  const until = job.world.now() + ACTION_LIMITS.settleMs;
  for (; ; ) {
    const status = await task.read();
    const isBusy = status.credentials.some(
      (lease) => lease.state !== "closed" && lease.revocability === "immediate"
    );
    if (!isBusy || job.world.now() >= until) return status;
    await pause(job, ACTION_LIMITS.settlePollMs);
  }
}
function tellEnd({ id, end: end2, credentials }) {
  return [`task ${shown(id)} has ended (${shown(end2 ?? "ended")})`, ...credentials.map(told)].join("\n");
}
function told({ issuer, state, closedAs, revocability, providerExpiresAt }) {
  if (state === "closed") return `  ${shown(issuer)}: ${shown(closedAs ?? "closed")}`;
  const last = providerExpiresAt === null ? "" : `, of no use after ${shown(providerExpiresAt)}`;
  return `  ${shown(issuer)}: being ended (${shown(revocability)}${last})`;
}

// action/src/finish.ts
async function finish(job) {
  const [id, token, url] = [job.state(TASK_STATE.id), job.state(TASK_STATE.token), job.state(TASK_STATE.url)];
  if (token !== "") job.mask(token);
  if (id === "" || token === "" || url === "") return job.info("no task was opened: there is none to end");
  if (job.state(TASK_STATE.over) !== "") return job.info(`task ${shown(id)} has ended before`);
  if (job.state(TASK_STATE.lifetime) === "run")
    return job.info(`task ${shown(id)} goes on until its run is over, or its deadline (lifetime: run)`);
  try {
    const mayfly = createMayfly({ url, evidence: noEvidence, ...job.world });
    const task = await mayfly.resumeTask({ id, token });
    if (task.state !== "active") return job.info(`task ${shown(id)} has ended before`);
    await end(task, job.input("job-status"));
    job.info(tellEnd(await untilQuiet(job, task)));
  } catch (error2) {
    if (isOver2(error2)) return job.info(`task ${shown(id)} has ended before`);
    job.warning(
      `what became of task ${shown(id)} is not known (${briefly(error2)}).
  It ends when the broker sees that this job is over, and at its deadline at the latest.`
    );
  }
}
function end(task, status) {
  switch (status) {
    case "success":
      return task.complete({ detail: "the job: success" });
    case "failure":
      return task.fail({ detail: "the job: failure" });
    case "cancelled":
      return task.cancel({ detail: "the job: cancelled" });
    default:
      return task.complete({ detail: "the job is over; how is not known" });
  }
}
function isOver2(error2) {
  const { name, code, status } = error2;
  return name === "MayflyError" && (code === "task_not_active" || status === 401 || status === 404);
}
function noEvidence() {
  throw new Error("a task that is resumed needs no evidence");
}

// action/src/post.ts
await finish(realJob(process.env));
