// Reads openapi.json and shows each operation, with a form to try it as whoever is signed in to this server.
const make = (tag, attributes = {}, ...children) => {
  const element = Object.assign(document.createElement(tag), attributes);
  element.append(...children);
  return element;
};

/** What a schema says, with the schemas that it names, written as one would write a type. */
const shape = (schema, all, depth = 0) => {
  if (!schema) return "";
  if (schema.$ref) {
    const name = schema.$ref.split("/").pop();
    return depth > 3 ? name : shape(all[name], all, depth);
  }
  if (schema.enum) return schema.enum.map((value) => JSON.stringify(value)).join(" | ");
  if (schema.anyOf) return schema.anyOf.map((one) => shape(one, all, depth + 1)).join(" | ");
  if (schema.type === "array") return `${shape(schema.items, all, depth)}[]`;
  if (schema.properties) {
    const pad = "  ".repeat(depth + 1);
    const fields = Object.entries(schema.properties).map(([name, field]) => {
      const mark = (schema.required ?? []).includes(name) ? "" : "?";
      return `${pad}${name}${mark}: ${shape(field, all, depth + 1)}`;
    });
    return `{\n${fields.join("\n")}\n${"  ".repeat(depth)}}`;
  }
  return [schema.type ?? "any"].flat().join(" | ");
};

const bodyOf = (content) => Object.values(content ?? {})[0]?.schema;

const attempt = async (method, path, fields, body, output) => {
  let address = path;
  const query = new URLSearchParams();
  for (const { parameter, input } of fields) {
    if (parameter.in === "path") address = address.replace(`{${parameter.name}}`, encodeURIComponent(input.value));
    else if (input.value !== "") query.set(parameter.name, input.value);
  }
  if ([...query].length) address += `?${query}`;
  const options = { method: method.toUpperCase() };
  if (body?.value) Object.assign(options, { body: body.value, headers: { "content-type": "application/json" } });
  output.textContent = "…";
  try {
    const answer = await fetch(address, options);
    const text = await answer.text();
    let shown = text;
    try { shown = JSON.stringify(JSON.parse(text), null, 2); } catch { /* It is no JSON. */ }
    output.textContent = `${answer.status} ${answer.statusText}\n${shown.slice(0, 100_000)}`;
  } catch (error) {
    output.textContent = String(error);
  }
};

const unfold = (path, method, operation, all) => {
  const parts = [];
  const who = operation.security.length === 0 ? "Everybody may call it."
    : `${operation["x-immich-admin-only"] ? "Administrators" : "Users"}; an API key needs ${operation["x-immich-permission"] ?? "no permission"}.`;
  parts.push(make("p", { className: "quiet", textContent: who }));
  const fields = operation.parameters.map((parameter) => {
    const input = make("input", { required: parameter.required, placeholder: shape(parameter.schema, all) });
    parts.push(make("label", {}, make("span", {}, make("code", { textContent: parameter.name }), ` ${parameter.in}`), input));
    return { parameter, input };
  });
  const content = operation.requestBody?.content;
  let body;
  if (content) {
    parts.push(make("h3", { textContent: "Body" }), make("pre", { textContent: shape(bodyOf(content), all) }));
    if (content["application/json"]) parts.push(body = make("textarea", { value: "{}" }));
  } else if (operation["tags"][0].startsWith("latent") && method !== "get") {
    parts.push(body = make("textarea", { value: "{}" }));
  }
  const answer = bodyOf(operation.responses["2XX"].content);
  if (answer) parts.push(make("h3", { textContent: "Answer" }), make("pre", { textContent: shape(answer, all) }));
  const output = make("pre", { hidden: true });
  const button = make("button", { textContent: "Try it" });
  button.addEventListener("click", () => { output.hidden = false; attempt(method, path, fields, body, output); });
  return [...parts, button, output];
};

const show = (contract) => {
  document.getElementById("version").textContent = contract.info.version;
  const all = contract.components.schemas;
  const byTag = new Map();
  for (const [path, methods] of Object.entries(contract.paths)) {
    for (const [method, operation] of Object.entries(methods)) {
      const details = make("details", {}, make("summary", {},
        make("code", { className: "method", textContent: method.toUpperCase() }), make("code", { textContent: path }),
        make("span", { className: "quiet", textContent: operation.summary })));
      details.dataset.words = `${method} ${path} ${operation.operationId} ${operation.summary}`.toLowerCase();
      details.addEventListener("toggle", () => {
        if (details.open && details.children.length === 1) details.append(...unfold(path, method, operation, all));
      });
      const tag = operation.tags[0];
      if (!byTag.has(tag)) byTag.set(tag, make("section", {}, make("h2", { textContent: tag })));
      byTag.get(tag).append(details);
    }
  }
  document.getElementById("operations").append(...[...byTag.keys()].sort().map((tag) => byTag.get(tag)));
};

document.getElementById("filter").addEventListener("input", (event) => {
  const words = event.target.value.toLowerCase().split(/\s+/);
  for (const section of document.querySelectorAll("section")) {
    let some = false;
    for (const details of section.querySelectorAll("details")) {
      details.hidden = !words.every((word) => details.dataset.words.includes(word));
      some ||= !details.hidden;
    }
    section.hidden = !some;
  }
});

fetch("/api/latent/openapi.json").then((response) => response.json()).then(show);
