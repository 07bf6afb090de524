// What the page says, in two languages.

const WORDS = {
  en: {
    quantity: { reflectivity: "Reflectivity", rain_rate: "Rain rate", rain_depth: "Rain depth", rain_depth_max: "Highest rain depth" },
    unseen: "not observed", dry: "no echo", norain: "no rain", gap: "no data at this time", unread: "cannot be read", play: "Play", pause: "Pause",
    back: "One frame back", on: "One frame on", in: "Zoom in", out: "Zoom out", fit: "Show all", speed: "Frames/s", opacity: "Opacity", other: "한국어",
    time: "Time", view: "Region and quantity", span: "Period", close: "Close", reading: "reading", made: "Simulated: nothing was observed",
    few: "This file holds overviews only: values are those of larger cells.", map: "Map: arrows step, space plays, plus and minus zoom",
    schema: "This page is older or newer than its data: run hsrgeo view --write again.",
    live: "LIVE", ago: [" min ago", " h ago", " days ago"], newest: "To the newest frame", lastday: "last 24 h",
    lacks: (used, expected) => `Sum of ${used} of ${expected} frames: rain of the others is missing.`, days: ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"],
  },
  ko: {
    quantity: { reflectivity: "반사도", rain_rate: "강우강도", rain_depth: "누적강수량", rain_depth_max: "최대 누적강수량" },
    unseen: "관측 없음", dry: "에코 없음", norain: "비 없음", gap: "이 시각 자료 없음", unread: "읽을 수 없음", play: "재생", pause: "일시정지",
    back: "이전 시각", on: "다음 시각", in: "확대", out: "축소", fit: "전체 보기", speed: "초당 장수", opacity: "불투명도", other: "English",
    time: "시각", view: "영역과 변수", span: "기간", close: "닫기", reading: "읽는 중", made: "모의 자료: 실제 관측이 아님",
    few: "이 파일에는 저해상도 자료만 있습니다. 값은 더 큰 격자의 값입니다.", map: "지도: 화살표는 이전·다음 시각, 스페이스는 재생, + −는 확대·축소",
    schema: "페이지와 자료의 버전이 다릅니다. hsrgeo view --write를 다시 실행하세요.",
    live: "실시간", ago: ["분 전", "시간 전", "일 전"], newest: "최신 프레임으로", lastday: "최근 24시간",
    lacks: (used, expected) => `프레임 ${expected}개 중 ${used}개의 합: 나머지 시각의 비는 빠졌습니다.`, days: ["일", "월", "화", "수", "목", "금", "토"],
  },
};
const CITIES = [ // longitude, latitude, Korean, English: city halls to a hundredth of a degree, the first are the largest
  [126.98, 37.57, "서울", "Seoul"], [129.08, 35.18, "부산", "Busan"], [128.6, 35.87, "대구", "Daegu"], [127.38, 36.35, "대전", "Daejeon"],
  [126.85, 35.16, "광주", "Gwangju"], [126.53, 33.5, "제주", "Jeju"], [128.88, 37.75, "강릉", "Gangneung"], [129.31, 35.54, "울산", "Ulsan"],
  [126.71, 37.46, "인천", "Incheon"], [127.15, 35.82, "전주", "Jeonju"], [127.73, 37.88, "춘천", "Chuncheon"], [126.39, 34.81, "목포", "Mokpo"],
  [129.34, 36.02, "포항", "Pohang"], [125.75, 39.03, "평양", "Pyongyang"],
];

/** Return the words of a language. */
export const wordsOf = (lang) => WORDS[lang];

/** Return [longitude, latitude, name] of cities. */
export const citiesIn = (lang) => CITIES.map(([lon, lat, ko, en]) => [lon, lat, lang === "ko" ? ko : en]);

const two = (number) => String(number).padStart(2, "0");

/** Return a time, in seconds since 1970 UTC, as people in Korea write it: KST, or UTC. */
export function timeText(seconds, days, hours = 9) {
  const at = new Date((seconds + hours * 3600) * 1000); // read as UTC, whatever the zone of this browser
  const day = days ? ` (${days[at.getUTCDay()]})` : "";
  return `${at.getUTCFullYear()}-${two(at.getUTCMonth() + 1)}-${two(at.getUTCDate())}${day} ${two(at.getUTCHours())}:${two(at.getUTCMinutes())}`;
}
