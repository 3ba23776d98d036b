// Draws /v1/openapi.json or /v1/asyncapi.json. Whatever the document says becomes text, never markup.
"use strict";

const events = location.pathname.startsWith("/docs/events");
const source = events ? "/v1/asyncapi.json" : "/v1/openapi.json";
let described;

/** An element with attributes, and with texts and elements in it. */
function make(name, attributes, ...inside) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes || {})) {
    if (value !== undefined && value !== false) element.setAttribute(key, value === true ? "" : value);
  }
  element.append(...inside.flat(Infinity).filter((part) => part !== undefined && part !== null && part !== ""));
  return element;
}

/** What a reference leads to. */
function resolve(node) {
  for (let hops = 0; node && node.$ref && hops < 20; hops += 1) {
    const steps = node.$ref.replace(/^#\//, "").split("/");
    node = steps.reduce((at, step) => at && at[step.replace(/~1/g, "/").replace(/~0/g, "~")], described);
  }
  return node;
}

const nameOf = (node) => (node && node.$ref ? node.$ref.split("/").pop() : undefined);

/** All fields of a schema that is put together of several. */
function merged(schema) {
  const plain = resolve(schema) || {};
  const parts = (plain.allOf || []).map(merged);
  if (!parts.length) return plain;
  const all = [...parts, { ...plain, allOf: undefined }];
  const required = all.flatMap((part) => part.required || []);
  const properties = {};
  for (const part of all) {
    for (const [name, field] of Object.entries(part.properties || {})) {
      const known = properties[name];
      properties[name] = known ? { ...resolve(known), ...resolve(field) } : field;
    }
  }
  return Object.assign({}, ...all, { required, properties: Object.keys(properties).length ? properties : undefined });
}

const choices = (schema) => schema.oneOf || schema.anyOf;

/** A schema's type in a few words. */
function typeOf(schema) {
  if (schema === true || !schema) return "anything";
  const name = nameOf(schema);
  const plain = merged(schema);
  if (plain.const !== undefined) return JSON.stringify(plain.const);
  if (plain.enum) return plain.enum.map((word) => JSON.stringify(word)).join(" | ");
  if (name) return name;
  if (choices(plain)) return [...new Set(choices(plain).map(typeOf))].join(" | ");
  if (plain.type === "array") return "list of " + typeOf(plain.items);
  const type = Array.isArray(plain.type) ? plain.type.join(" | ") : plain.type || (plain.properties ? "object" : "anything");
  return plain.format ? `${type} (${plain.format})` : type;
}

/** Patterns that only keep control characters out, which people need not read. */
const onlyControl = (pattern) => pattern.includes("\\u0000-");

/** The rules of a value, in words. */
function rules(schema) {
  const plain = merged(schema);
  const said = {
    minLength: "at least # characters", maxLength: "at most # characters", minimum: "at least #", maximum: "at most #",
    minItems: "at least # elements", maxItems: "at most # elements", default: "# if left out",
  };
  const words = Object.entries(said)
    .filter(([key]) => plain[key] !== undefined)
    .map(([key, text]) => text.replace("#", () => (key === "default" ? JSON.stringify(plain[key]) : plain[key])));
  const pattern = plain.pattern && (onlyControl(plain.pattern) ? "no control characters" : make("code", {}, plain.pattern));
  return [...words, ...(pattern ? [pattern] : [])].flatMap((rule, index) => (index ? [", ", rule] : [rule]));
}

/** The fields inside a schema, where it has any. */
function inner(schema) {
  const plain = merged(schema);
  if (plain.properties) return plain;
  if (plain.type === "array" && plain.items) return inner(plain.items);
  for (const choice of choices(plain) || []) {
    const found = inner(choice);
    if (found) return found;
  }
  return undefined;
}

/** The record class of a personal value, if it is one. */
function classOf(schema) {
  if (!schema || typeof schema !== "object") return undefined;
  return schema["x-personal"] || (choices(schema) || schema.allOf || []).map(classOf).find(Boolean);
}

/** A table of a schema's fields; what is nested opens on demand, so that a circle ends. */
function fields(schema) {
  const plain = inner(schema);
  if (!plain || !Object.keys(plain.properties).length) {
    return make("p", {}, make("span", { class: "type" }, plain ? "no fields" : typeOf(schema)), " ", rules(schema));
  }
  const needed = plain.required || [];
  const rows = Object.entries(plain.properties).map(([name, field]) => {
    const whole = merged(field);
    const personal = classOf(field);
    const marks = [
      needed.includes(name) && make("span", { class: "mark needed" }, "needed"),
      personal && make("span", { class: "mark personal" }, personal === true ? "personal" : `personal: ${personal}`),
    ].filter(Boolean);
    const more = inner(field) && nested("fields", () => fields(field));
    return make("tr", {},
      make("td", {}, make("code", {}, name)),
      make("td", {}, make("span", { class: "type" }, typeOf(field)), " ", marks.flatMap((mark) => [mark, " "])),
      make("td", {}, make("p", {}, prose(whole.description)), make("p", { class: "quiet" }, rules(field)), more || ""));
  });
  const head = make("tr", {}, ["Field", "Type", ""].map((title) => make("th", { scope: "col" }, title)));
  return make("table", {}, make("thead", {}, head), make("tbody", {}, rows));
}

/** Details that are drawn when they are opened. */
function nested(title, draw) {
  const details = make("details", { class: "nested" }, make("summary", {}, title));
  details.addEventListener("toggle", () => {
    if (details.open && details.childElementCount === 1) details.append(make("div", { class: "fields" }, draw()));
  });
  return details;
}

/** Texts of which one fits most patterns. */
const TEXTS = ["text", "US", "USD", "en", "PSU-1", "2026-03", "2026-03-04", "06:30", "1.0", "a1", "\"3\"", "Europe/Vienna",
  "https://example.edu", "ada@example.edu", "0".repeat(64), "0".repeat(32)];

/** A text that a schema admits, as far as one of ours does. */
function text(plain) {
  const padded = TEXTS[0].padEnd(plain.minLength || 0, "t");
  if (!plain.pattern) return padded;
  let fits;
  try { fits = new RegExp(plain.pattern, "u"); } catch { return padded; }
  const least = plain.minLength || 0;
  return [padded, ...TEXTS].find((one) => fits.test(one) && one.length >= least) || padded;
}

/** A value that a schema admits, for people to look at. */
function example(schema, depth = 0) {
  const plain = merged(schema);
  if (schema === true || depth > 6) return null;
  for (const given of [plain.const, plain.examples && plain.examples[0], plain.default, plain.enum && plain.enum[0]]) {
    if (given !== undefined) return given;
  }
  if (choices(plain)) return example(choices(plain).find((choice) => merged(choice).type !== "null") || {}, depth + 1);
  const type = Array.isArray(plain.type) ? plain.type.find((name) => name !== "null") : plain.type;
  const formats = {
    uuid: "018f2b6e-7c3a-7d11-9a55-3f0c2a9e4b10", "date-time": "2026-03-04T05:06:07Z", date: "2026-03-04",
    uri: "https://example.edu", email: "ada@example.edu",
  };
  if (type === "object" || plain.properties) {
    const needed = plain.required || [];
    const known = Object.entries(plain.properties || {})
      .filter(([name, field]) => needed.includes(name) || merged(field).default !== null);
    return Object.fromEntries(known.map(([name, field]) => [name, example(field, depth + 1)]));
  }
  if (type === "array") {
    const one = example(plain.items || {}, depth + 1);
    return Array.from({ length: Math.max(1, Math.min(plain.minItems || 1, 3)) }, () => one);
  }
  if (type === "integer" || type === "number") return plain.minimum !== undefined ? plain.minimum : 1;
  if (type === "boolean") return true;
  if (type === "string") return formats[plain.format] || text(plain);
  return null;
}

const json = (value) => make("pre", {}, JSON.stringify(value, null, 2));

/** Sentences, with what stands between backticks as code. */
function prose(text) {
  return (text || "").split("`").map((part, index) => (index % 2 ? make("code", {}, part) : part));
}

/** What stands for a call. */
function curl(method, path, body) {
  const filled = path.replace(/\{([^}]+)\}/g, (_, name) => `$${name}`);
  const lines = [`curl -X ${method.toUpperCase()} "$ANNALS_URL${filled}"`, '-H "Authorization: Bearer $ANNALS_TOKEN"'];
  if (body !== undefined) lines.push("-H 'Content-Type: application/json'", `-d '${JSON.stringify(body).replace(/'/g, "'\\''")}'`);
  return lines.join(" \\\n  ");
}

function parameters(list) {
  const rows = list.map(resolve).map((parameter) => make("tr", {},
    make("td", {}, make("code", {}, parameter.name)),
    make("td", {}, parameter.in, " ", parameter.required ? make("span", { class: "mark needed" }, "needed") : ""),
    make("td", {}, make("span", { class: "type" }, typeOf(parameter.schema)),
      make("p", {}, prose(parameter.description)), make("p", { class: "quiet" }, rules(parameter.schema)))));
  return make("table", {}, make("tbody", {}, rows));
}

function operationInside(path, method, operation) {
  const body = operation.requestBody && operation.requestBody.content["application/json"];
  const parts = [make("p", {}, prose(operation.description || operation.summary))];
  if (operation.security && !operation.security.length) parts.push(make("p", { class: "quiet" }, "Everybody may call this."));
  if (operation.parameters && operation.parameters.length) parts.push(make("h3", {}, "Parameters"), parameters(operation.parameters));
  if (body) parts.push(make("h3", {}, "Body"), fields(body.schema));
  parts.push(make("h3", {}, "Example"), make("pre", {}, curl(method, path, body && example(body.schema))));
  parts.push(make("h3", {}, "Answers"));
  const answers = Object.entries(operation.responses).sort().map(([status, response]) => {
    const whole = resolve(response);
    const content = Object.entries(whole.content || {});
    const shown = content.map(([kind, { schema }]) => nested(`${kind}: ${typeOf(schema)}`, () => [fields(schema), make("h4", {}, "Example"), json(example(schema))]));
    return make("tr", {}, make("td", {}, make("code", {}, status)), make("td", {}, make("p", {}, prose(whole.description)), shown));
  });
  parts.push(make("table", {}, make("tbody", {}, answers)));
  return parts;
}

function eventInside(channel, message) {
  const body = message.payload.properties.payload.properties[message.name];
  return [
    make("p", {}, prose(message.summary)),
    make("p", {}, "Subject ", make("code", {}, channel.address)),
    make("h3", {}, "Fields"), fields(body),
    make("h3", {}, "Attributes"), nested("headers of the message", () => fields(message.headers)),
    make("h3", {}, "Body"), nested("payload, metadata and sealed values", () => fields(message.payload)),
    make("h3", {}, "Example"),
    nested("headers and body", () => [json(example(message.headers)), json(example({ ...message.payload }))]),
  ];
}

/** What the page lists: a tag, an id, a kind, a title, words, and what is drawn when it is opened. */
function entries() {
  const found = [];
  const schemas = Object.entries(described.components.schemas).map(([name, schema]) => ({
    tag: "schemas", id: `schema-${name}`, kind: "schema", title: name, said: "",
    draw: () => [make("p", {}, prose(schema.description)), fields(schema), make("h3", {}, "Example"), json(example(schema))],
  }));
  if (events) {
    for (const channel of Object.values(described.channels)) {
      const message = resolve(Object.values(channel.messages)[0]);
      found.push({ tag: channel.tags[0].name, id: message.name, kind: "event", title: message.name, said: message.summary,
        more: channel.address, draw: () => eventInside(channel, message) });
    }
  } else {
    for (const [path, methods] of Object.entries(described.paths)) {
      for (const [method, operation] of Object.entries(methods)) {
        found.push({ tag: (operation.tags || ["other"])[0], id: operation.operationId, kind: method, title: path,
          said: operation.summary, more: operation.description, draw: () => operationInside(path, method, operation) });
      }
    }
  }
  return [...found, ...schemas];
}

function show(all) {
  const main = document.getElementById("main");
  const index = document.getElementById("index");
  const tags = [...new Set(all.map((entry) => entry.tag))];
  main.replaceChildren(make("p", { class: "about" }, prose(described.info.description)), make("p", { id: "state", role: "status" }));
  for (const tag of tags) {
    const own = all.filter((entry) => entry.tag === tag);
    const heading = make("h2", { id: `tag-${tag}` }, tag.replace(/_/g, " "), " ", make("span", { class: "count" }, String(own.length)));
    main.append(heading);
    const list = make("ul", {});
    for (const entry of own) {
      const summary = make("summary", {}, make("span", { class: `kind ${entry.kind}` }, entry.kind.toUpperCase()),
        make("span", { class: "path" }, entry.title), make("span", { class: "said" }, entry.said));
      entry.details = make("details", { class: "entry", id: entry.id }, summary);
      entry.details.addEventListener("toggle", () => {
        if (entry.details.open && entry.details.childElementCount === 1) {
          entry.details.append(make("div", { class: "inside" }, entry.draw()));
        }
      });
      entry.text = [entry.title, entry.said, entry.more, entry.kind].join(" ").toLowerCase();
      main.append(entry.details);
      entry.link = make("li", {}, make("a", { href: `#${entry.id}`, title: entry.title }, events || tag === "schemas" ? entry.title : `${entry.said}`));
      list.append(entry.link);
    }
    index.append(make("details", { open: tags.length < 3 }, make("summary", {}, tag.replace(/_/g, " "), " ", make("span", {}, String(own.length))), list));
    for (const entry of own) entry.heading = heading;
  }
}

/** Shows what has all words in it. */
function filter(all, text) {
  const words = text.toLowerCase().split(/\s+/).filter(Boolean);
  const seen = new Set();
  let shown = 0;
  for (const entry of all) {
    const fits = words.every((word) => entry.text.includes(word));
    entry.details.hidden = entry.link.hidden = !fits;
    if (fits) { seen.add(entry.heading); shown += 1; }
  }
  for (const entry of all) entry.heading.hidden = !seen.has(entry.heading);
  for (const part of document.querySelectorAll("#index > details")) {
    part.hidden = ![...part.querySelectorAll("li")].some((item) => !item.hidden);
    if (words.length) part.open = true;
  }
  document.getElementById("state").textContent = words.length ? `${shown} of ${all.length}` : "";
}

function follow(all) {
  const entry = all.find((known) => known.id === decodeURIComponent(location.hash.slice(1)));
  if (!entry) return;
  entry.details.open = true;
  entry.details.scrollIntoView();
}

async function begin() {
  document.getElementById("source").href = source;
  for (const link of document.querySelectorAll("header nav a")) {
    if (link.pathname === location.pathname.replace(/\/$/, "")) link.setAttribute("aria-current", "page");
  }
  const answer = await fetch(source);
  if (!answer.ok) throw new Error(`${source} answered ${answer.status}`);
  described = await answer.json();
  document.title = described.info.title;
  const all = entries();
  show(all);
  const search = document.getElementById("search");
  search.addEventListener("input", () => filter(all, search.value));
  addEventListener("keydown", (key) => {
    if (key.key === "/" && document.activeElement !== search) { key.preventDefault(); search.focus(); }
  });
  addEventListener("hashchange", () => follow(all));
  follow(all);
}

begin().catch((error) => { document.getElementById("state").textContent = `The document could not be drawn: ${error.message}`; });
