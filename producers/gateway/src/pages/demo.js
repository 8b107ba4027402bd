// The recipe of a page that shows a command's effect before it is so.
//
// What is shown is what is confirmed, with the pending commands on top:
//   1. A command is added to `pending` and shown, and only then sent, with the
//      version that it expects: the confirmed one plus the pending ones before it.
//   2. The stream of events tells every new version, whoever caused it. The state
//      is read again; pending commands up to its version are confirmed, and go.
//   3. An answer that is not 200 takes the command back: a refusal (422), or
//      another version (412) because somebody else was faster.
// A command that got no answer at all is sent again under its id, which is safe:
// it is decided once.
"use strict";

class Optimistic {
  constructor(aggregate, apply, changed) {
    Object.assign(this, { aggregate, apply, changed, version: 0, state: {}, pending: [], queue: Promise.resolve() });
  }

  // The state as it is shown.
  get shown() {
    return this.pending.reduce((state, command) => this.apply(state, command), this.state);
  }

  async start() {
    // The stream first: nothing that happens after the state was read is missed.
    this.stream = new EventSource(`${this.aggregate}/events`);
    await new Promise((resolve) => { this.stream.onopen = resolve; });
    this.stream.addEventListener("event", (event) => {
      if (JSON.parse(event.data).version > this.version) this.refresh();
    });
    // After an interruption the browser goes on with Last-Event-ID by itself.
    await this.refresh();
  }

  async refresh() {
    const answer = await fetch(this.aggregate, { cache: "no-store" });
    if (!answer.ok) return;
    const { version, state } = await answer.json();
    if (version < this.version) return;
    Object.assign(this, { version, state });
    this.pending = this.pending.filter((command) => !(command.version <= version));
    this.changed();
  }

  send(name, fields) {
    const command = { id: crypto.randomUUID(), name, fields, expected: this.version + this.pending.length };
    this.pending.push(command);
    this.changed();
    // One after the other: each expects the version that the one before it leaves.
    this.queue = this.queue.then(() => this.post(command));
    return this.queue;
  }

  async post(command) {
    let answer;
    while (!answer) {
      answer = await fetch(`${this.aggregate}/commands/${command.name}`, {
        method: "POST", body: JSON.stringify(command.fields),
        headers: {
          "Content-Type": "application/json", "Idempotency-Key": command.id, "If-Match": `"${command.expected}"`,
        },
      }).then((answer) => answer.status === 503 ? undefined : answer).catch(() => undefined);
      if (!answer) await new Promise((resolve) => setTimeout(resolve, 1000));
    }
    const told = await answer.json();
    if (answer.ok) {
      // Confirmed when the state has this version.
      command.version = told.version;
      if (told.version > this.version) await this.refresh();
      this.pending = this.pending.filter((other) => other !== command);
    } else {
      this.pending = this.pending.filter((other) => other !== command);
      if (answer.status === 412) await this.refresh();
    }
    this.changed(answer.ok ? `${command.name}: version ${told.version}` : `${command.name}: taken back: ${told.detail}`);
  }
}

const asked = new URLSearchParams(location.search);
const ask = (name, otherwise) => asked.get(name) || otherwise;
const [field, number] = [ask("field", "cents"), ask("number", "balance_cents")];
const commands = { up: ask("up", "Deposit"), down: ask("down", "Withdraw") };
const at = (id) => document.getElementById(id);

const page = new Optimistic(
  ask("aggregate", "/bank/account/anna"),
  (state, command) => {
    const sign = command.name === commands.up ? 1 : -1;
    return { ...state, [number]: (state[number] || 0) + sign * command.fields[field] };
  },
  (line) => {
    at("version").textContent = page.version;
    at("number").textContent = page.shown[number];
    at("number").className = page.pending.length ? "pending" : "";
    at("pending").replaceChildren(...page.pending.map((command) => {
      const item = document.createElement("li");
      item.textContent = `${command.name} ${command.fields[field]} …`;
      return item;
    }));
    if (line) at("log").textContent += `${line}\n`;
  },
);

at("name").textContent = number;
at("up").textContent = commands.up;
at("down").textContent = commands.down;
at("form").addEventListener("submit", (event) => {
  event.preventDefault();
  page.send(commands[event.submitter.value], { [field]: at("amount").valueAsNumber });
});
page.start();
