/* Loads models when they are first wanted, and asks them in workers: one for each model, so that they
   compute side by side, one for the models between two, and one that cuts text into tokens. Where a
   page may start none (from a disk, under a policy that allows no blob), it computes itself. */
"use strict";
(() => {
  const touch = (window.featrackTouch = window.featrackTouch || {});
  const SOURCE = document.currentScript.src;
  const CORE = new URL("core.js", SOURCE).href;
  const FOLDER = new URL("data/", SOURCE).href;
  const FORMAT = 3;
  const received = new Map();
  const files = new Map();

  touch.receive = (name, ...content) => received.set(name, content);

  /* The arguments of a data file's call; a failed one is asked for anew next time. */
  function load(name) {
    if (!files.has(name)) {
      files.set(
        name,
        new Promise((resolve, reject) => {
          const script = document.createElement("script");
          const done = () => {
            script.remove();
            const content = received.get(name);
            received.delete(name);
            if (content) return resolve(content);
            files.delete(name);
            const words = `The data file ${name}.js is missing or damaged: build the book again.`;
            return reject(new Error(words));
          };
          script.onload = done;
          script.onerror = done;
          script.src = FOLDER + encodeURIComponent(name) + ".js";
          document.head.append(script);
        })
      );
    }
    return files.get(name);
  }

  /* A worker; from a disk it can only be made of text, which a policy in the page forbids. */
  function started() {
    if (location.protocol.startsWith("http")) return new Worker(CORE);
    if (document.querySelector("meta[http-equiv=Content-Security-Policy]")) return local();
    const text = `"use strict";(${touch.serve})(self,(${touch.core})())`;
    return new Worker(URL.createObjectURL(new Blob([text], { type: "text/javascript" })));
  }

  let inPage = false;
  /* What answers messages as a worker does, in the page itself, between two of its frames. */
  function local() {
    inPage = true;
    const inner = {};
    const port = { postMessage: (message) => setTimeout(() => inner.onmessage({ data: message })) };
    inner.postMessage = (message) => port.onmessage({ data: message });
    touch.serve(inner, touch.core());
    return port;
  }

  /* Something that computes, its questions without an answer, and the models that it has. */
  class Engine {
    constructor() {
      this.open = new Map();
      this.asked = 0;
      this.models = new Map();
      try {
        this.use(started());
      } catch {
        this.use(local());
      }
    }

    use(port) {
      this.port = port;
      port.onmessage = ({ data: [number, result, trouble] }) => {
        const { resolve, reject } = this.open.get(number);
        this.open.delete(number);
        if (trouble === undefined) resolve(result);
        else reject(new Error(trouble));
      };
      port.onerror = (event) => {
        event.preventDefault();
        this.use(local());
        for (const { message } of this.open.values()) this.port.postMessage(message);
      };
    }

    ask(call, ...given) {
      const message = [this.asked++, call, given];
      return new Promise((resolve, reject) => {
        this.open.set(message[0], { resolve, reject, message });
        this.port.postMessage(message);
      });
    }

    ready(key) {
      if (!this.models.has(key)) {
        const loaded = load(key).then((content) => this.ask("add", key, ...content));
        this.models.set(key, loaded);
        loaded.catch(() => this.models.delete(key));
      }
      return this.models.get(key);
    }
  }

  const TEXT = "cuts text into tokens";
  const BETWEEN = "models between two";
  const engines = new Map();
  function engine(name, content) {
    if (!engines.has(name)) {
      const made = new Engine();
      engines.set(name, made.ask("begin", content).then(() => made));
    }
    return engines.get(name);
  }

  let meta = null;
  /* What the models are to each other, once the tokenizer is there. */
  touch.begin = () => {
    meta ??= (async () => {
      const [content] = await load("meta");
      if (content.format !== FORMAT) {
        throw new Error("The data of the models have another format: build the book again.");
      }
      await engine(TEXT, content);
      return content;
    })();
    return meta;
  };

  /* Asks once these models are there. */
  touch.ask = async (keys, call, ...given) => {
    const content = await touch.begin();
    const name = keys.length > 1 ? BETWEEN : keys[0] ?? TEXT;
    const asked = await engine(inPage ? TEXT : name, content);
    await Promise.all(keys.map((key) => asked.ready(key)));
    return asked.ask(call, ...given);
  };
})();
