// What fingers, a mouse and a wheel do to the map.

const STILL_PX = 5; // moved less, it is a click

/**
 * Listen on the box of a map. `act` has moved(), pointed(x, y) where the pointer is, left() when it leaves, and click(cell).
 */
export function listen(box, map, act) {
  const touches = new Map();
  let dragged = 0;
  box.addEventListener("pointerdown", (event) => {
    box.setPointerCapture(event.pointerId);
    touches.set(event.pointerId, [event.clientX, event.clientY]);
    if (touches.size === 1) dragged = 0;
  });
  box.addEventListener("pointermove", (event) => {
    const before = touches.get(event.pointerId), now = [event.clientX, event.clientY];
    if (before) {
      const apart = () => { const [a, b] = [...touches.values()]; return Math.hypot(a[0] - b[0], a[1] - b[1]); };
      const old = touches.size === 2 ? apart() : 0;
      touches.set(event.pointerId, now);
      dragged += Math.hypot(now[0] - before[0], now[1] - before[1]);
      map.x -= (now[0] - before[0]) / touches.size / map.scale;
      map.y -= (now[1] - before[1]) / touches.size / map.scale;
      if (old) {
        const [a, b] = [...touches.values()];
        map.zoom(apart() / old, (a[0] + b[0]) / 2, (a[1] + b[1]) / 2);
      }
      act.moved();
    }
    act.pointed(...now);
  });
  for (const kind of ["pointerup", "pointercancel"]) {
    box.addEventListener(kind, (event) => {
      const single = touches.size === 1;
      touches.delete(event.pointerId);
      if (kind === "pointerup" && single && dragged < STILL_PX) act.click(map.toCell(event.clientX, event.clientY));
    });
  }
  box.addEventListener("pointerleave", act.left);
  box.addEventListener("wheel", (event) => {
    event.preventDefault();
    map.zoom(2 ** (-event.deltaY / 300), event.clientX, event.clientY);
    act.moved();
  }, { passive: false });
}
