/* Loads models when they are first wanted, and asks them in a worker. Where a page may not start
   one (from a disk, under a policy that allows no blob), the page computes itself. */
"use strict";
(() => {
  const touch = (window.featrackTouch = window.featrackTouch || {});
  const SOURCE = document.currentScript.src;
  const CORE = new URL("core.js", SOURCE).href;
  const FOLDER = new URL("data/", SOURCE).href;
  const FORMAT = 2;
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

  /* What answers messages as a worker does, in the page itself, between two of its frames. */
  function local() {
    const inner = {};
    const port = { postMessage: (message) => setTimeout(() => inner.onmessage({ data: message })) };
    inner.postMessage = (message) => port.onmessage({ data: message });
    touch.serve(inner, touch.core());
    return port;
  }

  const open = new Map(); // questions without an answer
  let engine = null;
  let asked = 0;

  function use(made) {
    engine = made;
    engine.onmessage = ({ data: [number, result, trouble] }) => {
      const { resolve, reject } = open.get(number);
      open.delete(number);
      if (trouble === undefined) resolve(result);
      else reject(new Error(trouble));
    };
    engine.onerror = (event) => {
      event.preventDefault();
      use(local());
      for (const { message } of open.values()) engine.postMessage(message);
    };
  }

  function ask(call, ...given) {
    if (!engine) {
      try {
        use(started());
      } catch {
        use(local());
      }
    }
    const message = [asked++, call, given];
    return new Promise((resolve, reject) => {
      open.set(message[0], { resolve, reject, message });
      engine.postMessage(message);
    });
  }

  let meta = null;
  /* What the models are to each other, once the tokenizer is there. */
  touch.begin = () => {
    meta ??= (async () => {
      const [content] = await load("meta");
      if (content.format !== FORMAT) {
        throw new Error("The data of the models have another format: build the book again.");
      }
      await ask("begin", content);
      return content;
    })();
    return meta;
  };

  const models = new Map();
  function ready(key) {
    if (!models.has(key)) {
      const loaded = load(key).then((content) => ask("add", key, ...content));
      models.set(key, loaded);
      loaded.catch(() => models.delete(key));
    }
    return models.get(key);
  }

  /* Asks once these models are there. */
  touch.ask = async (keys, call, ...given) => {
    await touch.begin();
    await Promise.all(keys.map(ready));
    return ask(call, ...given);
  };
})();
