// Any other policy: its observation is set by sliders, around the mean of its training data.

/** A scene for one policy; nothing moves, since the page does not know what its actions do. */
export function sliderScene(policy) {
  const ranges = {};
  for (const { name, mean, scale, is_root: isRoot } of policy.vectors) {
    const size = policy.obs[name];
    ranges[name] = mean.slice(0, size).map((center, i) => {
      const spread = 2.5 * (isRoot ? scale[i] ** 2 : scale[i]);
      return { center, low: center - spread, high: center + spread };
    });
    const angles = policy.vectors.find((vector) => vector.name === name).angles;
    for (const i of angles) ranges[name][i] = { center: 0, low: -Math.PI, high: Math.PI };
  }
  return {
    axes: [{ name: "action 1", sign: 1 }, { name: "action 2", sign: 1 }],
    obstacle: null,
    note: "The observation is set by sliders, over the range of the training data.",
    ranges,
    project: (point) => point,
    unproject: (point) => point,
    start: () => ({
      body: Object.fromEntries(Object.entries(ranges).map(([name, list]) => [name, list.map(({ center }) => center)])),
      goals: [], moved: [], obstacles: [],
    }),
    observe: (body) => body,
    before: (body) => body,
    status: () => "",
    handles: () => [],
  };
}
