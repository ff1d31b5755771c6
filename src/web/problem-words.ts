import type { Language } from './words.ts';

/**
 * What went wrong, in Korean, by the code of the error. In English the error's own words are shown, which say more: names, places,
 * numbers. For the rest the viewer asks the command line, or reads the English.
 */
export const PROBLEMS: Readonly<Record<string, string>> = {
  'campaign-empty': '이 캠페인에는 받는 사람이 없습니다. 먼저 받는 사람을 가져오세요: sendstate import',
  'campaign-status': '캠페인의 현재 상태에서는 할 수 없는 작업입니다. 화면의 최신 상태를 확인하세요.',
  'campaign-unknown': '그런 이름의 캠페인이 없습니다. 캠페인 목록에서 이름을 확인하세요.',
  'database-aborted': '데이터베이스가 작업을 취소했습니다. 다시 시도하세요.',
  'database-busy': '데이터베이스 연결이 모두 사용 중입니다. 잠시 후 다시 시도하세요.',
  'database-disk-full': '데이터베이스 서버의 디스크가 가득 찼습니다. 공간을 확보하세요.',
  'database-full': '데이터베이스에 남은 연결이 없습니다. 잠시 후 다시 시도하세요.',
  'database-missing': 'DATABASE_URL에 적힌 데이터베이스가 없습니다. 서버 관리자에게 알리세요.',
  'database-password': '데이터베이스가 비밀번호를 거부했습니다. DATABASE_URL을 확인하세요.',
  'database-refused': '데이터베이스에 연결할 수 없습니다. DATABASE_URL과 권한을 확인하세요.',
  'database-tls': '데이터베이스와 암호화된 연결을 맺지 못했습니다. DATABASE_URL의 sslmode를 확인하세요.',
  'database-unreachable': '데이터베이스가 응답하지 않습니다. 복구되면 자동으로 이어집니다.',
  'message-invalid': '이 사람의 메일을 만들 수 없습니다. 템플릿이나 받는 사람의 값을 확인하세요.',
  'recipient-unknown': '이 캠페인에는 그런 주소의 받는 사람이 없습니다.',
  'schema-empty': '데이터베이스에 sendstate 테이블이 없습니다. sendstate migrate를 실행하세요.',
  'schema-newer': '데이터베이스가 이 서버보다 새 버전입니다. sendstate를 업데이트하세요.',
  'schema-older': '데이터베이스가 이전 버전입니다. sendstate migrate를 실행하세요.',
  unexpected: '서버에서 예상하지 못한 문제가 발생했습니다. 서버 로그에 자세한 내용이 있습니다.',
  'web-events': '캠페인 번호가 올바르지 않습니다.',
  'web-host': '이 서버는 localhost로만 접속할 수 있습니다.',
  'web-login': '로그인이 필요합니다. 페이지를 새로 고쳐 로그인하세요.',
  'web-masked': '주소를 가린 동안에는 미리보기를 볼 수 없습니다.',
  'web-origin': '다른 사이트에서 온 요청이라 거부했습니다. 이 페이지를 새로 고치고 다시 시도하세요.',
  'web-outcome': '재시도할 수 없는 결과입니다. 이미 발송된 메일은 다시 보내지 않습니다.',
  'web-page-unknown': '그런 페이지가 없습니다.',
  'web-read-only': '읽기 전용으로 시작한 페이지라 변경할 수 없습니다.',
  'web-search': '찾을 주소를 입력하세요.',
  'web-slow-down': '잘못된 토큰을 너무 많이 보냈습니다. 잠시 후 다시 시도하세요.',
  'web-too-large': '입력한 내용이 너무 큽니다.',
  'web-verb-unknown': '알 수 없는 작업입니다.',
};

export interface Problem {
  readonly code: string;
  readonly message: string;
  readonly hint: string | null;
}

/** A problem in the words of a language; what has none keeps its own. */
export function problemIn(language: Language, { code, message, hint }: Problem): Omit<Problem, 'code'> {
  const known = language === 'ko' ? PROBLEMS[code] : undefined;
  return known === undefined ? { message, hint } : { message: known, hint: null };
}
