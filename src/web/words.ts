/** The languages of the page, in the order of each entry below. */
export const LANGUAGES = ['en', 'ko'] as const;
export type Language = (typeof LANGUAGES)[number];

/** Every word of the page in every language: {name} is filled in. The browser gets the same table. */
export const WORDS = {
  language: ['English', '한국어'],
  title: ['sendstate', 'sendstate'],
  skip: ['Skip to content', '본문으로 건너뛰기'],
  campaigns: ['Campaigns', '캠페인'],
  find: ['Find an address or a campaign', '주소 또는 캠페인 찾기'],
  findButton: ['Find', '찾기'],
  logOut: ['Log out', '로그아웃'],
  readOnly: ['read only', '읽기 전용'],
  masked: ['addresses masked', '주소 가림'],
  loading: ['Loading…', '불러오는 중…'],
  noScript: [
    'This page needs JavaScript to follow the numbers.',
    '숫자를 실시간으로 보려면 JavaScript가 필요합니다.',
  ],
  noCampaigns: ['No campaigns yet', '아직 캠페인이 없습니다'],
  noCampaignsHint: ['Make the first one on the command line:', '명령줄에서 첫 캠페인을 만드세요:'],
  listed: [
    'The latest {n} campaigns and all that are not over. Type the name of an older one into the search.',
    '최근 캠페인 {n}개와 아직 끝나지 않은 캠페인입니다. 이전 캠페인은 이름으로 찾으세요.',
  ],
  draft: ['draft', '초안'],
  scheduled: ['scheduled', '예약됨'],
  running: ['running', '발송 중'],
  paused: ['paused', '일시 중지'],
  finished: ['finished', '완료'],
  sent: ['sent', '발송됨'],
  rejected: ['rejected', '거절됨'],
  expired: ['expired', '만료됨'],
  invalid: ['invalid', '잘못됨'],
  unconfirmed: ['unconfirmed', '확인 안 됨'],
  suppressed: ['suppressed', '제외됨'],
  cancelled: ['cancelled', '취소됨'],
  claimed: ['with workers', '워커가 처리 중'],
  waiting: ['waiting', '대기 중'],
  retrying: ['{n} of the waiting recipients are retrying', '대기 중인 {n}명은 일시 거절되어 다시 시도합니다'],
  ofTotal: ['{done} of {total}', '{total}명 중 {done}명'],
  people: ['{n} people', '{n}명'],
  perSecond: ['{n}/s', '초당 {n}통'],
  left: ['{time} left', '{time} 남음'],
  done: ['Done', '진행'],
  rate: ['Rate', '속도'],
  timeLeft: ['Time left', '남은 시간'],
  recipients: ['Recipients', '받는 사람'],
  failedCount: ['Failed', '실패'],
  startsAt: ['starts {time}', '{time} 시작'],
  startedAt: ['started {time}', '{time} 시작됨'],
  endedAt: ['ended {time}', '{time} 종료'],
  progressOf: ['{share} done: {parts}', '{share} 진행: {parts}'],
  noRecipients: ['no recipients yet', '아직 받는 사람이 없습니다'],
  chart: ['Mails per second', '초당 메일 수'],
  chartSent: ['sent', '발송'],
  chartFailed: ['failed', '실패'],
  chartTime: ['time', '시각'],
  chartNone: ['Nothing has been sent yet.', '아직 발송된 메일이 없습니다.'],
  chartLabel: [
    'Chart of mails per second. Now {now}, at most {most}.',
    '초당 메일 수 그래프. 현재 {now}, 최대 {most}.',
  ],
  failures: ['Failures by reply', '응답별 실패'],
  failuresNone: ['No recipient has failed.', '실패한 사람이 없습니다.'],
  number: ['Number', '수'],
  outcome: ['Outcome', '결과'],
  reply: ['Reply', '응답'],
  example: ['Example', '예'],
  workers: ['Workers', '워커'],
  workersNone: ['No worker holds a recipient of this campaign.', '이 캠페인을 처리하는 워커가 없습니다.'],
  worker: ['Worker', '워커'],
  process: ['Process', '프로세스'],
  state: ['State', '상태'],
  holds: ['Holds', '처리 중'],
  lastMinute: ['Last minute', '최근 1분'],
  alive: ['alive', '동작 중'],
  silent: ['silent', '응답 없음'],
  presumedDead: ['presumed dead', '종료 추정'],
  relays: ['Relays', '릴레이'],
  relaysNone: ['No worker has spoken to a relay lately.', '최근 릴레이와 통신한 워커가 없습니다.'],
  relay: ['Relay', '릴레이'],
  lastWords: ['Last words', '마지막 응답'],
  working: ['working', '정상'],
  slowed: ['slowed', '속도 제한 중'],
  halfOpen: ['half-open', '시험 중'],
  open: ['open', '차단됨'],
  atMost: ['(at most {n}/s)', '(초당 최대 {n}통)'],
  misconfigured: ['misconfigured', '설정 오류'],
  pause: ['Pause', '일시 중지'],
  resume: ['Resume', '다시 시작'],
  cancel: ['Cancel campaign', '캠페인 취소'],
  start: ['Send', '보내기'],
  retry: ['Retry {outcome} ({n})', '{outcome} 재시도 ({n})'],
  retryHead: ['Put back to waiting', '대기로 되돌리기'],
  confirmCancel: [
    'Cancel “{name}”? {n} people who still wait will not get this mail.',
    '“{name}” 캠페인을 취소할까요? 대기 중인 {n}명에게 메일이 가지 않습니다.',
  ],
  confirmRetry: [
    'Put {n} people ({outcome}) of “{name}” back to waiting? Their attempts begin again at zero.',
    '“{name}”의 {n}명({outcome})을 대기로 되돌릴까요? 시도 횟수는 0부터 다시 셉니다.',
  ],
  confirmStart: [
    'Start “{name}”? Workers will send {n} mails.',
    '“{name}” 발송을 시작할까요? 워커가 메일 {n}통을 보냅니다.',
  ],
  confirmYes: ['Yes, go ahead', '네, 진행합니다'],
  confirmNo: ['No, leave it', '아니요'],
  didPause: ['{name} is paused.', '{name} 캠페인을 일시 중지했습니다.'],
  didResume: ['{name} goes on.', '{name} 캠페인을 다시 시작했습니다.'],
  didCancel: ['{name} is cancelled.', '{name} 캠페인을 취소했습니다.'],
  didStart: ['{name} runs.', '{name} 캠페인의 발송을 시작했습니다.'],
  didRetry: ['{n} people wait again.', '{n}명이 다시 대기합니다.'],
  lost: [
    'The database has not answered since {time}. The numbers are from before; this page goes on by itself.',
    '{time}부터 데이터베이스가 응답하지 않습니다. 아래 숫자는 그 이전 값이며, 복구되면 자동으로 갱신됩니다.',
  ],
  cutOff: [
    'No connection to sendstate since {time}. The numbers are from before; this page tries again by itself.',
    '{time}부터 sendstate와 연결이 끊겼습니다. 아래 숫자는 그 이전 값이며, 자동으로 다시 연결합니다.',
  ],
  back: ['Connected again.', '다시 연결되었습니다.'],
  gone: ['This campaign was deleted.', '삭제된 캠페인입니다.'],
  aloud: ['{name}: {share} done, {done} of {total}.', '{name}: {share} 진행, {total}명 중 {done}명.'],
  results: ['What happened to {address}', '{address}에게 있었던 일'],
  resultsNone: ['No campaign has this address.', '이 주소가 있는 캠페인이 없습니다.'],
  searchHint: [
    'Type a whole address to see what happened to it in every campaign.',
    '주소 전체를 입력하면 모든 캠페인에서 있었던 일을 볼 수 있습니다.',
  ],
  attempts: ['Attempts {n}', '시도 {n}회'],
  maybeSent: ['may have been sent {n} more times', '{n}번 더 발송되었을 수 있음'],
  nextTry: ['next attempt {time}', '다음 시도 {time}'],
  when: ['When', '시각'],
  event: ['What happened', '있었던 일'],
  eventDeferred: ['refused for now', '일시 거절'],
  eventTrouble: ['the relay was in trouble', '릴레이 장애'],
  eventAmbiguous: ['handed over, no reply seen', '전달했으나 응답 없음'],
  eventReturned: ['its worker died before sending', '발송 전 워커 종료'],
  eventRetried: ['put back by an operator', '운영자가 되돌림'],
  preview: ['Preview', '미리보기'],
  previewOf: ['Whose mail', '받는 사람 주소'],
  previewFirst: ['empty: the first recipient', '비워 두면 첫 번째 받는 사람'],
  previewShow: ['Show the mail', '메일 보기'],
  previewFrame: ['The mail as it will look', '메일 미리보기'],
  previewMasked: [
    'There is no preview while addresses are masked: a mail is about one person.',
    '주소를 가린 동안에는 미리보기를 볼 수 없습니다. 메일에는 개인 정보가 있습니다.',
  ],
  from: ['From', '보낸 사람'],
  to: ['To', '받는 사람'],
  subject: ['Subject', '제목'],
  textPart: ['Text part', '텍스트 본문'],
  htmlPart: ['HTML part', 'HTML 본문'],
  logIn: ['Log in', '로그인'],
  token: ['Token', '토큰'],
  tokenHint: ['The operator of the server has it.', '서버를 시작한 사람이 알고 있습니다.'],
  tokenWrong: ['That is not the token.', '토큰이 맞지 않습니다.'],
  tokenWait: [
    'That is not the token either. Wait {n} seconds, or type the right one.',
    '이번에도 토큰이 맞지 않습니다. {n}초 기다리거나 올바른 토큰을 입력하세요.',
  ],
  noAnswer: [
    'No answer from sendstate. What was asked for may still be done; the numbers will show it.',
    'sendstate가 응답하지 않습니다. 요청한 작업은 진행 중일 수 있으니 숫자를 확인하세요.',
  ],
  notFound: ['Not found', '찾을 수 없음'],
  wentWrong: ['That did not work', '처리하지 못했습니다'],
} as const satisfies Readonly<Record<string, readonly [string, string]>>;

export type Word = keyof typeof WORDS;

/** A word in a language, its {places} filled in. */
export function say(language: Language, word: Word, values: Readonly<Record<string, string>> = {}): string {
  const text = WORDS[word][LANGUAGES.indexOf(language)] ?? word;
  return text.replace(/\{(\w+)\}/g, (place, name: string) => values[name] ?? place);
}

/** The language of a request: the cookie if one was chosen, else what the browser prefers, else English. */
export function languageOf(cookie: string | undefined, accepted: string | undefined): Language {
  const known = (text: string) => LANGUAGES.find((language) => language === text);
  const chosen = known(cookie ?? '');
  if (chosen !== undefined) return chosen;
  const wanted = (accepted ?? '')
    .split(',')
    .map((part) => {
      const [tag = '', ...rest] = part.trim().split(';');
      const quality = /^\s*q=([\d.]+)$/.exec(rest.join(';'))?.[1];
      return { language: known(tag.split('-')[0]?.toLowerCase() ?? ''), quality: Number(quality ?? 1) };
    })
    .filter(({ language, quality }) => language !== undefined && quality > 0)
    .sort((a, b) => b.quality - a.quality);
  return wanted[0]?.language ?? 'en';
}
