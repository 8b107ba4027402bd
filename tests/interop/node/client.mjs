// A bank client in JavaScript: @platformatic/kafka and avsc, with the framing by hand. What it does is in ../run.sh.
import { randomUUID } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { Consumer, FetchIsolationLevels, ListOffsetTimestamps, MessagesStreamModes, Producer, murmur2 } from '@platformatic/kafka'
import avro from 'avsc'

const { KAFKA_BOOTSTRAP, REGISTRY_URL, SCHEMAS, TOPICS } = process.env
const REPLY_PARTITION = 2
const PATIENCE_MS = 60_000
const client = { clientId: 'interop-node', bootstrapBrokers: KAFKA_BOOTSTRAP.split(',') }

const registry = async (path, options) => {
  const answer = await fetch(`${REGISTRY_URL}${path}`, options)
  if (!answer.ok) throw new Error(`${path}: ${answer.status} ${await answer.text()}`)
  return answer.json()
}

// Longs beyond 2^53 are not numbers here; cents are far below.
const types = new Map()
const typeOf = async id => {
  if (!types.has(id)) types.set(id, avro.Type.forSchema(JSON.parse((await registry(`/schemas/ids/${id}`)).schema)))
  return types.get(id)
}

const read = async value => {
  if (value[0] !== 0) throw new Error(`not the wire format: ${value.toString('hex')}`)
  const type = await typeOf(value.readUInt32BE(1))
  return { record: type.name, ...type.fromBuffer(value.subarray(5)) }
}

// One subject for each record and topic: TopicRecordNameStrategy.
const writer = async record => {
  const schema = readFileSync(`${SCHEMAS}/${record}/1.avsc`, 'utf8')
  const { id } = await registry(`/subjects/${TOPICS}.commands-${record}/versions`, {
    method: 'POST',
    headers: { 'content-type': 'application/vnd.schemaregistry.v1+json' },
    body: JSON.stringify({ schema })
  })
  const type = avro.Type.forSchema(JSON.parse(schema))
  const head = Buffer.alloc(5)
  head.writeUInt32BE(id, 1)
  return value => Buffer.concat([head, type.toBuffer(value)])
}

const within = (promise, what) => {
  let timer
  const late = new Promise((_, reject) => { timer = setTimeout(() => reject(new Error(`${what} in ${PATIENCE_MS} ms`)), PATIENCE_MS) })
  return Promise.race([promise, late]).finally(() => clearTimeout(timer))
}

const reader = () => new Consumer({ ...client, groupId: `interop-${randomUUID()}`, isolationLevel: FetchIsolationLevels.READ_COMMITTED })

const publish = async () => {
  const producer = new Producer({ ...client, idempotent: true })
  const write = { Deposit: await writer('bank.account.Deposit'), Withdraw: await writer('bank.account.Withdraw') }
  const commands = `${TOPICS}.commands`
  const answers = reader()
  const metadata = await answers.metadata({ topics: [commands] })
  const partitions = metadata.topics.get(commands).partitions.length
  const replies = `${TOPICS}.replies`
  const ends = await answers.listOffsets({ topics: [replies], timestamp: ListOffsetTimestamps.LATEST })
  const offsets = ends.get(replies).map((offset, partition) => ({ topic: replies, partition, offset }))
  const stream = await answers.consume({ topics: [replies], mode: MessagesStreamModes.MANUAL, offsets, autocommit: false })
  const waiting = new Map()
  stream.on('data', message => waiting.get(message.key.toString())?.(read(message.value)))

  const ask = async (account, record, cents, { command = randomUUID(), expected } = {}) => {
    const answer = new Promise(resolve => waiting.set(command, resolve))
    const headers = { ce_id: command, 'reply-to': String(REPLY_PARTITION) }
    if (expected !== undefined) headers['expected-version'] = String(expected)
    const key = Buffer.from(account)
    await producer.send({
      messages: [{
        topic: commands,
        // As Java's client does it.
        partition: (murmur2(key) & 0x7fffffff) % partitions,
        key,
        value: write[record]({ cents }),
        headers: new Map(Object.entries(headers).map(([name, text]) => [Buffer.from(name), Buffer.from(text)]))
      }]
    })
    const told = await within(answer, `no answer to ${record} of ${account}`)
    waiting.delete(command)
    return told
  }

  const check = (answer, code, version) => {
    if (answer.code !== code || answer.version !== version) {
      throw new Error(`expected ${code} with version ${version}: ${JSON.stringify(answer)}`)
    }
  }

  for (let number = 0; number < 8; number++) {
    const [account, first] = [`node-${number}`, randomUUID()]
    check(await ask(account, 'Deposit', 1000 + number, { command: first }), 'accepted', 1)
    check(await ask(account, 'Withdraw', 300, { expected: 1 }), 'accepted', 2)
    const refused = await ask(account, 'Withdraw', 1_000_000)
    check(refused, 'refused', 2)
    if (JSON.parse(refused.detail).Insufficient.balance_cents !== 700 + number) throw new Error(JSON.stringify(refused))
    check(await ask(account, 'Withdraw', 1, { expected: 0 }), 'conflict', 2)
    check(await ask(account, 'Deposit', 1000 + number, { command: first }), 'accepted', 1)
  }
  await stream.close()
  await answers.close(true)
  await producer.close()
  console.error('node: 40 commands were answered as they should be')
}

// Every account with its balance and version, folded from so many events.
const balances = async events => {
  const consumer = reader()
  const stream = await consumer.consume({ topics: [`${TOPICS}.events`], mode: MessagesStreamModes.EARLIEST, autocommit: false })
  const accounts = new Map()
  let seen = 0
  const fold = async () => {
    for await (const message of stream) {
      const account = message.key.toString()
      const { balance, version } = accounts.get(account) ?? { balance: 0, version: 0 }
      const header = [...message.headers].find(([name]) => name.toString() === 'factum')[1]
      if (header.readBigUInt64BE(2) !== BigInt(version + 1)) {
        throw new Error(`version ${version} of ${account} is followed by ${header.toString('hex')}`)
      }
      const event = await read(message.value)
      const sign = event.record === 'bank.account.Deposited' ? 1 : -1
      accounts.set(account, { balance: balance + sign * event.cents, version: version + 1 })
      if (++seen === events) return
    }
  }
  await within(fold(), `not all of ${events} events`)
  for (const [account, { balance, version }] of [...accounts].sort(([a], [b]) => (a < b ? -1 : 1))) {
    console.log(account, balance, version)
  }
  await consumer.close(true)
}

const [verb, events] = process.argv.slice(2)
await (verb === 'publish' ? publish() : balances(Number(events)))
process.exit(0)
