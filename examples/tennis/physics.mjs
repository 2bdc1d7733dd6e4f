// The court, and what moves on it: pure functions of what they are given, in units of the court and seconds.

export const COURT = { width: 160, height: 90 };
/** `face` is how far a pad's front is from its end of the court; `speed` is what nobody can exceed. */
export const PAD = { height: 18, face: 6, speed: 110 };
/** Each hit makes the ball faster, up to `fastest`; a hit at a pad's edge sends it off at the `steepest` angle. */
export const BALL = { radius: 1.8, speed: 75, faster: 1.06, fastest: 150, steepest: Math.PI / 3.2 };

export const LEFT = 0;
export const RIGHT = 1;
export const other = (side) => 1 - side;

const clamp = (value, least, most) => Math.min(Math.max(value, least), most);

/** Where a pad's middle can be. */
export const onCourt = (y) => clamp(y, PAD.height / 2, COURT.height - PAD.height / 2);

/** A ball in the middle that is about to fly towards a side; `random` is from 0 to 1. */
export function serve(side, random) {
  const angle = (random - 0.5) * (Math.PI / 3);
  const ball = { x: COURT.width / 2, y: COURT.height / 2 };
  return { ...ball, vx: towards(side) * BALL.speed * Math.cos(angle), vy: BALL.speed * Math.sin(angle) };
}

/** Where a pad is that has moved towards where its player wants it. */
export function movePad(y, wanted, seconds) {
  const reach = PAD.speed * seconds;
  return onCourt(y + clamp(wanted - y, -reach, reach));
}

/**
 * Moves the ball. Besides it, tells whether a pad has `hit` it, and at which side it went `out`.
 *
 * @param {{x: number, y: number, vx: number, vy: number}} ball
 * @param {[number, number]} pads where their middles are
 * @param {number} seconds so few that the ball does not cross the court
 */
export function moveBall(ball, pads, seconds) {
  const moved = { ...ball, x: ball.x + ball.vx * seconds, ...bounced(ball, seconds) };
  const side = ball.vx < 0 ? LEFT : RIGHT;
  const front = side === LEFT ? PAD.face + BALL.radius : COURT.width - PAD.face - BALL.radius;
  const hasCrossed = (ball.x - front) * towards(side) <= 0 && (moved.x - front) * towards(side) > 0;
  if (hasCrossed) {
    const { y } = bounced(ball, (front - ball.x) / ball.vx);
    const offset = (y - pads[side]) / (PAD.height / 2 + BALL.radius);
    if (Math.abs(offset) <= 1) return { ball: returned(ball, front, y, offset), hit: true };
  }
  const isOut = moved.x < -BALL.radius || moved.x > COURT.width + BALL.radius;
  return isOut ? { ball: moved, out: side } : { ball: moved };
}

const towards = (side) => (side === LEFT ? -1 : 1);

/** How high the ball is, and how it goes up or down, after so many seconds between the two walls. */
function bounced({ y, vy }, seconds) {
  const [top, bottom] = [BALL.radius, COURT.height - BALL.radius];
  const reached = y + vy * seconds;
  if (reached < top) return { y: Math.min(2 * top - reached, bottom), vy: Math.abs(vy) };
  if (reached > bottom) return { y: Math.max(2 * bottom - reached, top), vy: -Math.abs(vy) };
  return { y: reached, vy };
}

function returned({ vx, vy }, x, y, offset) {
  const speed = Math.min(Math.hypot(vx, vy) * BALL.faster, BALL.fastest);
  const angle = offset * BALL.steepest;
  return { x, y, vx: -Math.sign(vx) * speed * Math.cos(angle), vy: speed * Math.sin(angle) };
}
