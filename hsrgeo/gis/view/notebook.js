// What a notebook runs: the page, whole, in a frame of its own. The notebook's own names and styles stay apart from it.

export default {
  render({ model, el }) {
    const frame = document.createElement("iframe");
    frame.title = "hsrgeo";
    frame.style.cssText = "width: 100%; border: 0";
    let url = null;
    const show = () => {
      if (url) URL.revokeObjectURL(url);
      url = URL.createObjectURL(new Blob([model.get("page")], { type: "text/html" }));
      frame.src = url;
    };
    const size = () => (frame.style.height = `${model.get("height")}px`);
    model.on("change:page", show);
    model.on("change:height", size);
    size();
    show();
    el.append(frame);
    return () => URL.revokeObjectURL(url);
  },
};
