// The controls beneath scene and map.

const get = (id) => document.getElementById(id);

const MEANINGS = {
  none: ["E = E₁(observation, action)", ""],
  and: ["E = (E₁ + E₂) / 2", "low where both are"],
  or: ["E = −T log ½ Σ exp(−Eᵢ/T) / Zᵢ", "low where one of them is; Z makes them comparable, T is the temperature"],
  not: ["E = E₁ + 10 T σ(−E₂/T − log Z₂)", "high where the second one is low, by 10 T at most, T being the temperature"],
};
const NAMES = { GradientDescent: "gradient descent", IBCLangevin: "Langevin, as trained", ULA: "Langevin, samples exp(−E/T)", DFO: "derivative-free (DFO)" };

/** Candidates of a position of the slider: powers of two. */
const candidatesOf = (position) => Math.round(2 ** position);

/** Connect every control to the stage that is shown. */
export function connectControls(app) {
  const changed = (settle) => { settle?.(app.stage.settings); showSettings(app); app.stage.update({ animate: true }); };
  get("play").onclick = () => (app.stage.playing ? app.stop() : app.play());
  get("step").onclick = async () => {
    if (app.stepping) return; // a second click would end the decision under way
    app.stepping = true;
    try {
      app.stop();
      if (await app.decide()) app.stage.update();
    } finally {
      app.stepping = false;
    }
  };
  get("again").onclick = () => { app.stage.seed += 1000; app.stage.update({ animate: true }); };
  get("reset").onclick = () => { app.stop(); app.stage.restart(); app.stage.update({ animate: true }); };
  get("new").onclick = () => { app.stop(); app.stage.sceneSeed += 1; app.stage.restart(); showSettings(app); app.stage.update({ animate: true }); };
  for (const radio of document.querySelectorAll("[name=operation]")) {
    radio.onchange = () => changed((settings) => { settings.operation = radio.value; });
  }
  get("second").onchange = ({ target }) => changed((settings) => {
    settings.second = target.value === "moved" ? "moved" : Number(target.value);
  });
  const slide = (id, settle) => {
    get(id).oninput = ({ target }) => {
      settle(Number(target.value), app.stage);
      showSettings(app);
      app.stage.update({ rests: false });
    };
    get(id).onchange = () => app.stage.update({ animate: true });
  };
  slide("disks", (value, stage) => stage.setObstacles(value));
  slide("radius", (value, stage) => { stage.settings.radius = value * stage.scene.obstacle.largest; });
  slide("candidates", (value, stage) => { stage.searches[stage.settings.search].num_candidates = candidatesOf(value); });
  slide("iterations", (value, stage) => { stage.searches[stage.settings.search].num_iterations = value; });
  slide("temperature", (value, stage) => { stage.settings.temperature = Number((10 ** value).toPrecision(2)); });
  get("pace").oninput = ({ target }) => { app.stage.settings.pace = Number(target.value); showSettings(app); };
  get("hard").onchange = ({ target }) => changed((settings) => { settings.hard = target.checked; });
  get("search").onchange = ({ target }) => changed((settings) => { settings.search = target.value; });
  connectProgram(app);
}

function connectProgram(app) {
  const dialog = get("program");
  get("export").onclick = async () => {
    const code = await app.stage.program();
    if (code === null) return;
    get("code").textContent = code;
    dialog.showModal();
  };
  get("close").onclick = () => dialog.close();
  get("copy").onclick = async () => {
    getSelection().selectAllChildren(get("code"));
    const copied = await navigator.clipboard?.writeText(get("code").textContent).then(() => true, () => false);
    get("copy").textContent = copied ? "Copied" : "Selected";
    setTimeout(() => { get("copy").textContent = "Copy"; }, 1500);
  };
  get("save").onclick = () => {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([get("code").textContent], { type: "text/x-python" }));
    link.download = "scene.py";
    link.click();
    URL.revokeObjectURL(link.href);
  };
}

function fill(select, options, chosen) {
  select.replaceChildren(...options.map(([value, name]) => new Option(name, value, false, String(value) === String(chosen))));
}

function write(id, value, text) {
  get(id).value = value;
  get(id).parentElement.querySelector("output").textContent = text;
}

/** Write the settings of the stage that is shown into the controls. */
export function showSettings(app) {
  const { stage } = app;
  const { settings, scene, searches, world } = stage;
  const search = searches[settings.search];
  for (const id of ["play", "step", "reset", "new"]) get(id).hidden = !scene.step;
  get("obstacles").hidden = !scene.obstacle;
  const seconds = stage.seconds();
  get("composition").hidden = !seconds.length;
  fill(get("second"), seconds.map(({ value, name }) => [value, name.replaceAll("_", " ")]), settings.second);
  get("second").disabled = settings.operation === "none";
  document.querySelector(`[name=operation][value=${settings.operation}]`).checked = true;
  [get("formula").textContent, get("meaning").textContent] = MEANINGS[settings.operation];
  if (scene.obstacle) {
    write("disks", world.obstacles.length, String(world.obstacles.length));
    write("radius", settings.radius / scene.obstacle.largest, String(Number(settings.radius.toPrecision(2))));
    get("radius").disabled = get("hard").disabled = !world.obstacles.length;
  }
  get("hard").checked = settings.hard;
  fill(get("search"), Object.keys(searches).map((name) => [name, NAMES[name]]), settings.search);
  get("candidates").max = Math.max(9, Math.log2(search.num_candidates));
  get("iterations").max = Math.max(100, search.num_iterations);
  write("candidates", Math.log2(search.num_candidates), String(search.num_candidates));
  write("iterations", search.num_iterations, String(search.num_iterations));
  write("temperature", Math.log10(settings.temperature), String(settings.temperature));
  const usesTemperature = ["DFO", "ULA"].includes(settings.search) || ["or", "not"].includes(settings.operation);
  get("temperature").disabled = !usesTemperature;
  write("pace", settings.pace, settings.pace.toFixed(2));
  get("pace").parentElement.hidden = !scene.step;
  showSliders(app);
}

/** The observation as sliders, where there is no scene. */
function showSliders(app) {
  const { scene, world } = app.stage;
  const panel = get("sliders");
  panel.hidden = Boolean(scene.world);
  if (scene.world || panel.dataset.policy === String(app.stage.index)) return;
  panel.dataset.policy = app.stage.index;
  const rows = Object.entries(scene.ranges).flatMap(([name, list]) => list.map(({ low, high }, i) => {
    const row = document.createElement("label");
    row.className = "line";
    const input = Object.assign(document.createElement("input"), { type: "range", min: low, max: high, step: (high - low) / 200, value: world.body[name][i] });
    const out = document.createElement("output");
    const caption = Object.assign(document.createElement("span"), { textContent: list.length > 1 ? `${name} ${i + 1}` : name });
    const show = () => { out.textContent = Number(world.body[name][i].toPrecision(3)); };
    input.oninput = () => { world.body[name][i] = Number(input.value); show(); app.stage.update({ rests: false }); };
    input.onchange = () => app.stage.update({ animate: true });
    show();
    row.append(caption, input, out);
    return row;
  }));
  panel.replaceChildren(...rows);
}
