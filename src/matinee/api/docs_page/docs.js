// A small reader of an OpenAPI document. Text goes in by textContent alone, so nothing in the document can run here.
"use strict";

const at = (id) => document.getElementById(id);
let token = "";

function make(tag, text = "", attributes = {}) {
  const element = document.createElement(tag);
  element.textContent = text;
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  return element;
}

function headers(more = {}) {
  return token ? { Authorization: `Bearer ${token}`, ...more } : more;
}

async function load() {
  const answer = await fetch("openapi.json", { headers: headers(), credentials: "omit" });
  const said = await answer.json();
  at("operations").replaceChildren();
  if (!answer.ok) {
    at("note").textContent = `${said.detail} ${said.hint ?? ""}`;
    return;
  }
  at("note").textContent = "";
  show(said);
}

function show(api) {
  document.title = `${api.info.title}: HTTP API`;
  at("title").textContent = document.title;
  at("about").textContent = api.info.description;
  const groups = new Map();
  for (const [path, methods] of Object.entries(api.paths)) {
    for (const [method, operation] of Object.entries(methods)) {
      const tag = operation.tags[0];
      if (!groups.has(tag)) groups.set(tag, []);
      groups.get(tag).push(details(api, method, path, operation));
    }
  }
  for (const [tag, parts] of groups) at("operations").append(make("h2", tag), ...parts);
}

function details(api, method, path, operation) {
  const part = make("details", "", { id: operation.operationId });
  const summary = make("summary");
  summary.append(make("span", method.toUpperCase(), { class: "method" }), make("code", path), ` ${operation.summary}`);
  part.append(summary);
  part.addEventListener("toggle", () => part.childElementCount === 1 && fill(part, api, method, path, operation));
  return part;
}

function fill(part, api, method, path, operation) {
  if (operation.description) part.append(make("p", operation.description));
  if (operation.parameters.length) part.append(make("h3", "Parameters"), parameters(operation.parameters));
  const body = operation.requestBody?.content?.["application/json"];
  if (operation.requestBody) {
    part.append(make("h3", "Body"));
    if (operation.requestBody.description) part.append(make("p", operation.requestBody.description));
    const contents = Object.entries(operation.requestBody.content);
    for (const [type, media] of contents) part.append(make("p", type), schema(api, media.schema));
  }
  part.append(make("h3", "Answers"), answers(api, operation.responses));
  part.append(make("h3", "Try it"), trial(api, method, path, operation, body));
}

function parameters(list) {
  const rows = list.map((one) => [one.name, one.in, kind(one.schema), one.description ?? one.schema.description ?? ""]);
  return table(["name", "in", "type", "meaning"], rows);
}

function kind(schema) {
  if (schema.enum) return schema.enum.map((value) => JSON.stringify(value)).join(" | ");
  return [schema.type, "default" in schema ? `= ${JSON.stringify(schema.default)}` : ""].join(" ");
}

function table(heads, rows) {
  const made = make("table");
  const head = made.createTHead().insertRow();
  for (const text of heads) head.append(make("th", text, { scope: "col" }));
  const body = made.createTBody();
  for (const cells of rows) {
    const row = body.insertRow();
    for (const cell of cells) row.append(make("td", cell));
  }
  return made;
}

function answers(api, responses) {
  const box = make("div");
  for (const [status, said] of Object.entries(responses)) {
    const inner = make("details");
    inner.append(make("summary", `${status} ${said.description}`));
    for (const [type, media] of Object.entries(said.content ?? {})) {
      inner.append(make("p", type));
      if (media.schema) inner.append(schema(api, media.schema));
    }
    box.append(inner);
  }
  return box;
}

// References are followed once each, so that a schema that holds itself ends.
function resolved(api, value, seen = []) {
  if (Array.isArray(value)) return value.map((item) => resolved(api, item, seen));
  if (value === null || typeof value !== "object") return value;
  if (typeof value.$ref === "string") {
    const name = value.$ref.split("/").pop();
    if (seen.includes(name)) return { see: name };
    return { ...resolved(api, api.components.schemas[name] ?? {}, [...seen, name]), ...without(value, "$ref") };
  }
  return Object.fromEntries(Object.entries(value).map(([name, item]) => [name, resolved(api, item, seen)]));
}

function without(value, name) {
  return Object.fromEntries(Object.entries(value).filter(([key]) => key !== name));
}

function schema(api, value) {
  return make("pre", JSON.stringify(resolved(api, value), null, 2), { tabindex: "0" });
}

function trial(api, method, path, operation, body) {
  const form = make("form", "", { class: "try" });
  const inputs = operation.parameters.filter((one) => one.in !== "header").map((one) => field(form, operation, one));
  let text = null;
  if (body) {
    const label = make("label", "Body", { for: `${operation.operationId}-body` });
    text = make("textarea", example(body), { id: `${operation.operationId}-body`, spellcheck: "false" });
    form.append(label, text);
  }
  const command = make("pre", "", { tabindex: "0" });
  const output = make("pre", "", { role: "status", hidden: "" });
  const asked = () => request(method, path, inputs, text);
  const refresh = () => (command.textContent = curl(asked()));
  form.addEventListener("input", refresh);
  refresh();
  form.append(command);
  if (!operation.requestBody || body) form.append(make("button", "Send", { type: "submit" }));
  form.append(output);
  form.addEventListener("submit", (event) => send(event, asked(), output));
  return form;
}

function field(form, operation, parameter) {
  const id = `${operation.operationId}-${parameter.name}`;
  const input = make("input", "", { id, placeholder: kind(parameter.schema), spellcheck: "false" });
  const line = make("p");
  line.append(make("label", `${parameter.name} `, { for: id }), input);
  form.append(line);
  return { parameter, input };
}

function example(body) {
  const first = Object.values(body.examples ?? {})[0];
  return JSON.stringify(first ? first.value : {}, null, 2);
}

function request(method, path, inputs, text) {
  const query = new URLSearchParams();
  for (const { parameter, input } of inputs) {
    if (parameter.in === "path") path = path.replace(`{${parameter.name}}`, encodeURIComponent(input.value));
    else if (input.value) query.set(parameter.name, input.value);
  }
  const url = new URL(`.${path}`, location.href);
  url.search = query.toString();
  return { method: method.toUpperCase(), url, body: text?.value };
}

const quoted = (text) => `'${text.replaceAll("'", "'\\''")}'`;

function curl({ method, url, body }) {
  const lines = [`curl -X ${method} ${quoted(url.href)}`];
  if (token) lines.push('-H "Authorization: Bearer $MATINEE_TOKEN"');
  if (body !== undefined) lines.push("-H 'Content-Type: application/json'", `-d ${quoted(body)}`);
  return lines.join(" \\\n  ");
}

async function send(event, { method, url, body }, output) {
  event.preventDefault();
  output.hidden = false;
  output.textContent = "…";
  try {
    const more = body === undefined ? {} : { "Content-Type": "application/json" };
    const answer = await fetch(url, { method, body, headers: headers(more), credentials: "omit" });
    const type = answer.headers.get("content-type") ?? "";
    const said = type.includes("json") ? JSON.stringify(await answer.json(), null, 2) : await answer.text();
    output.textContent = `${answer.status}\n${said}`;
  } catch (error) {
    output.textContent = `No answer: ${error.message}`;
  }
}

at("sign-in").addEventListener("submit", (event) => {
  event.preventDefault();
  token = at("token").value.trim();
  load();
});
load();
