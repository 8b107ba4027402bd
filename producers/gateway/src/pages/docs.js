// Shows /openapi.json, with a form for each operation. Everything from the
// document is set as text, never as HTML.
"use strict";

function element(name, text, parent) {
  const made = document.createElement(name);
  if (text !== undefined) made.textContent = text;
  if (parent) parent.append(made);
  return made;
}

// A sentence, in which what stands between two ` is code.
function prose(text, parent) {
  text.split("`").forEach((part, index) => element(index % 2 ? "code" : "span", part, parent));
}

// JSON with a line for each row, its numbers as they came. Texts are passed over whole.
function lines(json) {
  return json.replace(/("(?:[^"\\]|\\.)*")|([\]}],)(?=[[{])/g, (_, text, end) => text || `${end}\n`);
}

// Reads JSON; a number that no double holds is shown again as it came, where the browser can.
function exact(json) {
  return JSON.parse(json, (_, value, context) =>
    Number.isInteger(value) && !Number.isSafeInteger(value) && context && JSON.rawJSON
      ? JSON.rawJSON(context.source) : value);
}

function resolver(api) {
  return (value) => {
    if (!value || !value.$ref) return value;
    return value.$ref.slice(2).split("/").reduce((at, step) => at[step], api);
  };
}

// A value that the schema lets through, to begin with.
function example(resolve, schema, depth = 0) {
  schema = resolve(schema) || {};
  if (depth > 8) return null;
  const inner = (schema) => example(resolve, schema, depth + 1);
  if (schema.examples) return schema.examples[0];
  if ("const" in schema) return schema.const;
  if (schema.enum) return schema.enum[0];
  const any = schema.anyOf || schema.oneOf;
  if (any) return inner(any.find((one) => resolve(one).type !== "null") || any[0]);
  switch (Array.isArray(schema.type) ? schema.type[0] : schema.type) {
    case "object": {
      const made = {};
      for (const [name, property] of Object.entries(schema.properties || {})) made[name] = inner(property);
      return made;
    }
    case "array": return [inner(schema.items)];
    case "integer": case "number": return 1;
    case "boolean": return true;
    case "null": return null;
  }
  const formats = {
    uuid: "3f0a4a34-6f3c-4c31-a6d5-3d6f2a1c9b10", date: "2026-01-31", "date-time": "2026-01-31T12:00:00Z",
    duration: "P1D",
  };
  return formats[schema.format] || (schema.pattern ? "1.00" : schema.contentEncoding ? "" : "text");
}

function form(api, path, method, operation, parent) {
  const resolve = resolver(api);
  const inputs = (operation.parameters || []).map((parameter) => {
    parameter = resolve(parameter);
    const label = element("label", undefined, parent);
    const named = element("span", undefined, label);
    element("code", parameter.name, named);
    prose(` (${parameter.in}) ${parameter.description}`, named);
    return [parameter, element("input", undefined, label)];
  });
  const media = operation.requestBody && operation.requestBody.content["application/json"];
  let body;
  if (media) {
    body = element("textarea", undefined, parent);
    body.value = JSON.stringify(example(resolve, media.schema), null, 2);
  }
  const send = element("button", "Send", parent);
  const shown = element("pre", "", parent);
  send.addEventListener("click", async () => {
    let url = path;
    const query = new URLSearchParams();
    const headers = media ? { "Content-Type": "application/json" } : {};
    for (const [parameter, input] of inputs) {
      if (parameter.in === "path") url = url.replace(`{${parameter.name}}`, encodeURIComponent(input.value));
      else if (input.value !== "" && parameter.in === "query") query.append(parameter.name, input.value);
      else if (input.value !== "") headers[parameter.name] = input.value;
    }
    if ([...query].length) url += `?${query}`;
    shown.textContent = "…";
    if (operation.responses["200"].content && operation.responses["200"].content["text/event-stream"]) {
      shown.textContent = "";
      const stream = new EventSource(url);
      const show = (event) => { shown.textContent += `${event.lastEventId}\n${event.data}\n`; };
      for (const name of ["message", "event", "change"]) stream.addEventListener(name, show);
      stream.onerror = () => { shown.textContent += "(the stream was interrupted)\n"; };
      return;
    }
    const answer = await fetch(url, { method: method.toUpperCase(), headers, body: media ? body.value : undefined });
    const text = await answer.text();
    shown.textContent = `${answer.status} ${answer.statusText}\n${lines(text)}`;
  });
}

function show(api) {
  document.title = api.info.title;
  document.getElementById("title").textContent = `${api.info.title} ${api.info.version}`;
  prose(api.info.description, document.getElementById("about"));
  const main = document.getElementById("operations");
  const groups = new Map(api.tags.map((tag) => [tag.name, []]));
  for (const [path, item] of Object.entries(api.paths)) {
    for (const [method, operation] of Object.entries(item)) groups.get(operation.tags[0]).push([path, method, operation]);
  }
  const resolve = resolver(api);
  for (const [tag, operations] of groups) {
    element("h2", tag, main);
    for (const [path, method, operation] of operations) {
      const details = element("details", undefined, main);
      const summary = element("summary", undefined, details);
      const name = element("span", method.toUpperCase(), summary);
      name.className = "method";
      element("code", path, summary);
      prose(` ${operation.summary}`, summary);
      details.addEventListener("toggle", () => {
        if (details.childElementCount > 1) return;
        if (operation.description) prose(operation.description, element("p", undefined, details));
        const table = element("table", undefined, details);
        for (const [status, response] of Object.entries(operation.responses)) {
          const row = element("tr", undefined, table);
          element("td", status, row);
          prose(resolve(response).description, element("td", undefined, row));
        }
        form(api, path, method, operation, details);
        const media = operation.requestBody && operation.requestBody.content["application/json"];
        if (media) {
          element("p", "The body's schema:", details);
          element("pre", JSON.stringify(resolve(media.schema), null, 2), details);
        }
      });
    }
  }
}

fetch("/openapi.json").then((answer) => answer.text()).then(exact).then(show).catch((error) => {
  document.getElementById("about").textContent = `/openapi.json cannot be shown: ${error}`;
});
